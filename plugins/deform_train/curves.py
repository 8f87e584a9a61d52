"""Curves of several runs as one page that needs nothing else: a line of SVG for each run and number."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from deformcli.runs import Run

WIDTH, HEIGHT, POINTS = 420, 220, 400
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
STYLE = """body { font: 14px sans-serif; margin: 2em; color: #222; background: #fff }
main { display: flex; flex-wrap: wrap; gap: 1.5em } figure { margin: 0 } figcaption { font-weight: bold }
svg { border: 1px solid #ccc } polyline { fill: none; stroke-width: 1.3 } text { font-size: 11px; fill: #555 }"""


class Curve(NamedTuple):
    """One number of one run: (step, value) pairs."""

    colour: str
    points: list[tuple[float, float]]


def page(runs: Sequence[Run]) -> str:
    """The HTML of one chart for each number that the runs' logs hold."""
    names = dict.fromkeys(name for run in runs for line in run.log for name in line if name != "step")
    colours = [COLOURS[i % len(COLOURS)] for i in range(len(runs))]
    legend = "".join(
        f'<li style="color:{colour}">{escape(str(run.folder))}: {escape(run.recipe)}, {run.step} steps</li>'
        for run, colour in zip(runs, colours, strict=True)
    )
    charts = "".join(
        _chart(name, [Curve(c, _thinned(run, name)) for run, c in zip(runs, colours, strict=True)]) for name in names
    )
    head = f'<meta charset="utf-8"><title>deform runs</title><style>{STYLE}</style>'
    return (
        f"<!doctype html><html lang=en><head>{head}</head><body><ul>{legend}</ul><main>{charts}</main></body></html>\n"
    )


def _thinned(run: Run, name: str) -> list[tuple[float, float]]:
    """At most POINTS points, each the mean of its neighbours."""
    points = [(line["step"], line[name]) for line in run.log if isinstance(line.get(name), int | float)]
    group = max(1, -(-len(points) // POINTS))
    groups = [points[i : i + group] for i in range(0, len(points), group)]
    return [(part[-1][0], sum(value for _, value in part) / len(part)) for part in groups]


def _chart(name: str, curves: Sequence[Curve]) -> str:
    xs, ys = zip(*(point for curve in curves for point in curve.points), strict=True)
    low, high, end = min(ys), max(ys), max(xs)

    def place(x: float, y: float) -> str:
        return f"{x / end * WIDTH:.1f},{HEIGHT - (y - low) / ((high - low) or 1) * HEIGHT:.1f}"

    lines = "".join(
        f'<polyline stroke="{curve.colour}" points="{" ".join(place(x, y) for x, y in curve.points)}"/>'
        for curve in curves
    )
    labels = f'<text x="0" y="-7">{high:.4g}</text><text x="0" y="{HEIGHT + 14}">{low:.4g}</text>'
    labels += f'<text x="{WIDTH}" y="{HEIGHT + 14}" text-anchor="end">{end} steps</text>'
    picture = f'<svg viewBox="-6 -20 {WIDTH + 12} {HEIGHT + 40}" width="{WIDTH}">{lines}{labels}</svg>'
    return f"<figure><figcaption>{escape(name)}</figcaption>{picture}</figure>"
