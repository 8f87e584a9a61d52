"""The evaluation as JSON, CSV and LaTeX."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import asdict
from typing import Any

from deformcli.evaluation import Evaluation, Row

from .terminal import best, number


def to_json(evaluation: Evaluation) -> str:
    """Everything; what is no number (NaN, infinity) is null."""
    return json.dumps(_finite(asdict(evaluation)), indent=2, ensure_ascii=False)


def to_csv(evaluation: Evaluation) -> str:
    """A line per method, group and metric, with the interval, the network it is measured with, and its sha256."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    networks = evaluation.about.get("networks", {})
    writer.writerow(["method", "axis", "group", "items", "metric", "value", "low", "high", "network", "sha256", "seed"])
    for row in evaluation.rows:
        for column in evaluation.columns:
            interval = row.intervals.get(column.name, ("", ""))
            signed = (column.network, networks.get(column.network, ""), evaluation.about["seed"])
            writer.writerow(
                [row.method, row.axis, row.group, row.items, column.name, row.means[column.name], *interval, *signed]
            )
    return out.getvalue()


def to_latex(evaluation: Evaluation) -> str:
    """Tables for booktabs: methods by metrics, as 4.3 of the thesis; angles by metrics and methods, as 4.1."""
    ((_, rows),) = evaluation.of_axis("all").items()
    titles = [_escape(column.name) + _arrow(column.lower_is_better) for column in evaluation.columns]
    methods = [(row.method, [row]) for row in rows]
    lines = _table("l" + "r" * len(titles), [" & ".join(["", *titles])], methods, evaluation)
    for axis in evaluation.axes[1:]:
        count = len(evaluation.methods)
        above = " & ".join(f"\\multicolumn{{{count}}}{{c}}{{{title}}}" for title in titles)
        heads = [f" & {above}", " & ".join(["", *([_escape(method) for method in evaluation.methods] * len(titles))])]
        groups = list(evaluation.of_axis(axis).items())
        lines += ["", *_table("l" + "r" * count * len(titles), heads, groups, evaluation)]
    return "\n".join(lines) + "\n"


def _table(form: str, heads: list[str], groups: list[tuple[str, list[Row]]], evaluation: Evaluation) -> list[str]:
    """A group of one row is compared down the columns, a group of several with one another."""
    lines = [f"\\begin{{tabular}}{{{form}}}", "\\toprule", *(f"{head} \\\\" for head in heads), "\\midrule"]
    all_rows = [row for _, rows in groups for row in rows]
    for name, rows in groups:
        cells = []
        for column in evaluation.columns:
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
