"""Curves of several runs as one page that needs nothing else: a chart for each number, with a line for each run."""

from __future__ import annotations

import math
from collections.abc import Sequence

from deformcli.pages import Line, legend, line_chart, render
from deformcli.runs import Run

POINTS = 400


def page(runs: Sequence[Run]) -> str:
    """The HTML of one chart for each number that the runs' logs hold."""
    names = dict.fromkeys(name for run in runs for line in run.log for name in line if name != "step")
    curves = {name: [_thinned(run, name) for run in runs] for name in names}
    return render(
        __package__,
        "curves.html",
        title="deform runs",
        legend=legend,
        runs=[f"{run.folder}: {run.recipe}, {run.step} steps" for run in runs],
        charts=[_chart(name, lines) for name, lines in curves.items() if any(lines)],
    )


def _chart(name: str, curves: Sequence[list[tuple[float, float]]]) -> str:
    end = max(step for points in curves for step, _ in points)
    lines = [Line(points) for points in curves]
    return line_chart(name, lines, over="steps", ends=(0, end), ticks=[(end, f"{end} steps")])


def _thinned(run: Run, name: str) -> list[tuple[float, float]]:
    """At most POINTS points, each the mean of its neighbours."""
    points = [(line["step"], line[name]) for line in run.log if _is_number(line.get(name))]
    group = max(1, -(-len(points) // POINTS))
    groups = [points[i : i + group] for i in range(0, len(points), group)]
    return [(part[-1][0], sum(value for _, value in part) / len(part)) for part in groups]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
