"""The report as one self-contained HTML page: tables, plots over the angle, and the pictures to browse."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files

import numpy as np

from .album import Album
from .plot import over_angle
from .statistics import Report, Row
from .terminal import best, number, text_of


def to_html(report: Report, album: Album, values: Mapping[tuple[str, str], np.ndarray], groups: Sequence[str]) -> str:
    """The page. `values` (method, metric) -> (N,) and `groups` (N) are of every item, shown or not."""
    style, script = (files(__package__).joinpath(name).read_text("utf-8") for name in ("page.css", "page.js"))
    title = f"deform evaluate {report.about.get('recipe', 'dirs')}"
    plots = [plot for column in report.columns if (plot := over_angle(report, column))]
    facts = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text_of(value))}</dd>" for name, value in report.about.items())
    body = [
        f"<h1>{escape(title)}</h1>",
        *(f'<p class="note">{escape(note)}</p>' for note in report.notes),
        _methods(report),
        *(_groups(report, axis) for axis in report.axes[1:]),
        f'<h2>Over the angle</h2>{_legend(report)}<div class="plots">{"".join(plots)}</div>' if plots else "",
        _comparisons(report),
        _grid(album, values, groups),
        "<h2>What was measured</h2>",
        f"<dl>{facts}</dl>",
    ]
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
    head += f'<meta http-equiv="Content-Security-Policy" content="{policy}"><style>{style}</style>'
    body.append(f"<script>{script}</script>")
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>{"".join(body)}</body></html>\n'


def _methods(report: Report) -> str:
    ((_, rows),) = report.of_axis("all").items()
    lines = []
    for row in rows:
        cells = []
        for column in report.columns:
            low, high = row.intervals.get(column.name, (math.nan, math.nan))
            interval = f"<small>{number(low)} to {number(high)}</small>" if math.isfinite(low) else ""
            cells.append(_number(row, rows, column) + interval)
        lines.append([escape(row.method), *cells])
    titles = [escape(column.title) + (f"<small>{escape(column.network)}</small>" if column.network else "")
              for column in report.columns]  # fmt: skip
    return "<h2>All items</h2><p>Small: bootstrap 95 % intervals.</p>" + _table(["method", *titles], lines)


def _groups(report: Report, axis: str) -> str:
    """Angles or kinds by metrics and methods, as table 4.1 of the thesis."""
    methods = report.methods
    above = "".join(f'<th colspan="{len(methods)}">{escape(column.title)}</th>' for column in report.columns)
    heads = ["", *(escape(method) for _ in report.columns for method in methods)]
    lines = [
        [escape(group), *(_number(row, rows, column) for column in report.columns for row in rows)]
        for group, rows in report.of_axis(axis).items()
    ]
    return f"<h2>By {escape(axis)}</h2>" + _table(heads, lines, f"<tr><th></th>{above}</tr>")


def _comparisons(report: Report) -> str:
    if not report.comparisons:
        return ""
    lines = [
        [escape(text) for text in (f"{c.one} - {c.other}", c.metric, number(c.difference))]
        + [f"{number(c.interval[0])} to {number(c.interval[1])}", "yes" if c.is_clear else ""]
        for c in report.comparisons
    ]
    heads = ["methods", "metric", "mean difference", "95 % interval", "clear of 0"]
    return f"<details><summary>Paired differences, all items</summary>{_table(heads, lines)}</details>"


def _grid(album: Album, values: Mapping[tuple[str, str], np.ndarray], groups: Sequence[str]) -> str:
    """Strips in the order of the items; the script sorts and filters them by what is in their data."""
    heads = "".join(f"<span>{escape(name)}</span>" for name in album.columns)
    names = [f"{method}: {metric}" for method, metric in values]
    rows = []
    for strip in sorted(album.strips, key=lambda strip: strip.item):
        own = [float(column[strip.item]) for column in values.values()]
        data = json.dumps([value if math.isfinite(value) else None for value in own])
        label = f"item {strip.item}, {groups[strip.item]}"
        rows.append(
            f'<figure data-group="{escape(groups[strip.item])}" data-item="{strip.item}" data-values="{data}">'
            f'<img src="{strip.uri}" alt="{escape(label)}">'
            f"<figcaption>{escape(label)} <output></output></figcaption></figure>"
        )
    left_out = f" The {len(rows)} with the largest error of {album.seen}." if len(rows) < album.seen else ""
    keys = "".join(f"<option>{escape(name)}</option>" for name in names)
    kinds = "".join(f"<option>{escape(group)}</option>" for group in dict.fromkeys(groups))
    return (
        f"<h2>Pictures</h2><p>{left_out}</p>"
        f'<form id="order"><label>sort by <select id="key">{keys}</select></label>'
        '<label><select id="way"><option value="-1">largest first</option><option value="1">smallest first</option>'
        '<option value="0">as they come</option></select></label>'
        f'<label>show <select id="group"><option value="">all</option>{kinds}</select></label></form>'
        f'<div id="grid" style="--columns:{len(album.columns)}"><div class="heads">{heads}</div>{"".join(rows)}</div>'
    )


def _legend(report: Report) -> str:
    items = (f'<span class="s{index}">{escape(method)}</span>' for index, method in enumerate(report.methods))
    return f'<p class="legend">{"".join(items)}</p>'


def _number(row: Row, rows: list[Row], column: object) -> str:
    value = row.means[column.name]
    return f"<b>{number(value)}</b>" if value == best(rows, column) else number(value)


def _table(heads: Sequence[str], lines: Sequence[Sequence[str]], above: str = "") -> str:
    head = "".join(f"<th>{text}</th>" for text in heads)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in line)}</tr>" for line in lines)
    return f'<div class="table"><table><thead>{above}<tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
