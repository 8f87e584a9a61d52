"""The evaluation as tables: on a terminal, as JSON, CSV and LaTeX."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deformcli.evaluation import Column, Evaluation, Interval, Row, Worst


def show(evaluation: Evaluation) -> None:
    """Methods by metrics; a table per metric and axis; differences; what was measured on what."""
    console = Console()
    console.print(_methods(evaluation), *_groups(evaluation))
    if evaluation.comparisons:
        console.print(_comparisons(evaluation))
    for name, value in evaluation.about.items():
        console.print(f"[dim]{name}:[/dim] {text_of(value)}", highlight=False, soft_wrap=True)
    for note in evaluation.notes:
        console.print(f"[yellow]note:[/yellow] {note}", highlight=False, soft_wrap=True)


def number(value: float) -> str:
    """Four significant digits or so, as every table has them."""
    if not math.isfinite(value):
        return "-" if math.isnan(value) else "∞" if value > 0 else "-∞"
    if 0 < abs(value) < 1e-3:
        return f"{value:.2e}"
    return f"{value:.5f}" if abs(value) < 0.1 else f"{value:.4f}" if abs(value) < 1 else f"{value:.2f}"


def best(rows: list[Row], column: Column) -> float:
    """The best mean among the rows; NaN if there is none."""
    values = [row.means[column.name] for row in rows if not math.isnan(row.means[column.name])]
    return (min if column.lower_is_better else max)(values, default=math.nan)


def _methods(evaluation: Evaluation) -> Table:
    ((_, rows),) = evaluation.of_axis("all").items()
    caption = "± half of the bootstrap 95 % interval" if rows[0].intervals else ""
    caption += "; below, the worst group, of so many items" if evaluation.worst else ""
    table = Table("method", *(column.title for column in evaluation.columns), title="All items", caption=caption)
    for row in rows:
        cells = (
            _cell(row, rows, column)
            + _half(row.intervals.get(column.name))
            + _worst(evaluation.worst_of(row.method, column.name))
            for column in evaluation.columns
        )
        table.add_row(row.method, *cells)
    return table


def _groups(evaluation: Evaluation) -> list[Table]:
    tables = []
    for column in evaluation.columns if len(evaluation.axes) > 1 else ():
        table = Table("", *evaluation.methods, title=column.title)
        for axis in evaluation.axes[1:]:
            for group, rows in evaluation.of_axis(axis).items():
                table.add_row(escape(group), *(_cell(row, rows, column) for row in rows))
            table.add_section()
        tables.append(table)
    return tables


def _cell(row: Row, rows: list[Row], column: Column) -> str:
    value = row.means[column.name]
    return f"[bold]{number(value)}[/bold]" if value == best(rows, column) else number(value)


def _half(interval: Interval | None) -> str:
    """A second line for a cell: how far the mean may be off, where that is known."""
    known = interval and math.isfinite(interval[1] - interval[0])
    return f"\n[dim]±{(interval[1] - interval[0]) / 2:.2g}[/dim]" if known else ""


def _worst(worst: Worst | None) -> str:
    """A further line: the group on which a method did worst."""
    return f"\n[dim]{number(worst.mean)} {escape(worst.group)} ({worst.items})[/dim]" if worst else ""


def _comparisons(evaluation: Evaluation) -> Table:
    """A line per two methods; bold where the interval leaves out zero."""
    names = list(dict.fromkeys(comparison.metric for comparison in evaluation.comparisons))
    titles = (column.title for column in evaluation.columns if column.name in names)
    table = Table("difference", *titles, title="Paired differences, all items")
    found = {(c.one, c.other, c.metric): c for c in evaluation.comparisons}
    for one, other in dict.fromkeys((c.one, c.other) for c in evaluation.comparisons):
        compared = (found[one, other, name] for name in names)
        cells = (("[bold]" if c.is_clear else "") + number(c.difference) + _half(c.interval) for c in compared)
        table.add_row(f"{one} - {other}", *cells)
    return table


def text_of(value: object) -> str:
    """A fact about the run in one line."""
    if isinstance(value, dict):
        return "; ".join(f"{key} {item}" for key, item in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


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
    lines = _tabular("l" + "r" * len(titles), [" & ".join(["", *titles])], methods, evaluation)
    for axis in evaluation.axes[1:]:
        count = len(evaluation.methods)
        above = " & ".join(f"\\multicolumn{{{count}}}{{c}}{{{title}}}" for title in titles)
        heads = [f" & {above}", " & ".join(["", *([_escape(method) for method in evaluation.methods] * len(titles))])]
        groups = list(evaluation.of_axis(axis).items())
        lines += ["", *_tabular("l" + "r" * count * len(titles), heads, groups, evaluation)]
    return "\n".join(lines) + "\n"


def _tabular(form: str, heads: list[str], groups: list[tuple[str, list[Row]]], evaluation: Evaluation) -> list[str]:
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
