"""The report as JSON, CSV and LaTeX."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import asdict
from typing import Any

from .statistics import Report, Row
from .terminal import best, number


def to_json(report: Report) -> str:
    """Everything; what is no number (NaN, infinity) is null."""
    return json.dumps(_finite(asdict(report)), indent=2, ensure_ascii=False)


def to_csv(report: Report) -> str:
    """A line per method, group and metric, with the interval, the network that judged, and its sha256."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    networks = report.about.get("networks", {})
    writer.writerow(["method", "axis", "group", "items", "metric", "value", "low", "high", "network", "sha256", "seed"])
    for row in report.rows:
        for column in report.columns:
            interval = row.intervals.get(column.name, ("", ""))
            judged = (column.network, networks.get(column.network, ""), report.about["seed"])
            writer.writerow(
                [row.method, row.axis, row.group, row.items, column.name, row.means[column.name], *interval, *judged]
            )
    return out.getvalue()


def to_latex(report: Report) -> str:
    """Tables for booktabs: methods by metrics, as 4.3 of the thesis; angles by metrics and methods, as 4.1."""
    ((_, rows),) = report.of_axis("all").items()
    titles = [_escape(column.name) + _arrow(column.lower_is_better) for column in report.columns]
    lines = _table("l" + "r" * len(titles), [" & ".join(["", *titles])], [(row.method, [row]) for row in rows], report)
    for axis in report.axes[1:]:
        count = len(report.methods)
        above = " & ".join(f"\\multicolumn{{{count}}}{{c}}{{{title}}}" for title in titles)
        heads = [f" & {above}", " & ".join(["", *([_escape(method) for method in report.methods] * len(titles))])]
        lines += ["", *_table("l" + "r" * count * len(titles), heads, list(report.of_axis(axis).items()), report)]
    return "\n".join(lines) + "\n"


def _table(form: str, heads: list[str], groups: list[tuple[str, list[Row]]], report: Report) -> list[str]:
    """A group of one row is compared down the columns, a group of several with one another."""
    lines = [f"\\begin{{tabular}}{{{form}}}", "\\toprule", *(f"{head} \\\\" for head in heads), "\\midrule"]
    all_rows = [row for _, rows in groups for row in rows]
    for name, rows in groups:
        cells = []
        for column in report.columns:
            peers = rows if len(heads) > 1 else all_rows
            for row in rows:
                text = number(row.means[column.name]).replace("∞", "$\\infty$")
                cells.append(f"\\textbf{{{text}}}" if row.means[column.name] == best(peers, column) else text)
        lines.append(f"{_escape(name)} & {' & '.join(cells)} \\\\")
    return [*lines, "\\bottomrule", "\\end{tabular}"]


def _arrow(lower: bool) -> str:
    return " $\\downarrow$" if lower else " $\\uparrow$"


def _escape(text: str) -> str:
    special = {char: f"\\{char}" for char in "&%$#_{}"} | {"°": "$^\\circ$", "±": "$\\pm$", "\\": "\\textbackslash{}"}
    return "".join(special.get(char, char) for char in text)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
