"""The evaluation as one self-contained HTML page: tables, charts over the angle, and the pictures to browse."""

from __future__ import annotations

import json
import math

from deformcli.evaluation import Column, Evaluation, Measurements, Row
from deformcli.pages import Line, legend, line_chart, render

from .album import Album
from .terminal import best, number, text_of


def to_html(evaluation: Evaluation, found: Measurements, album: Album) -> str:
    """The page; `found` is of every item, shown or not."""
    charts = (over_angle(evaluation, column) for column in evaluation.columns)
    return render(
        __package__,
        "page.html",
        title=f"deform evaluate {evaluation.about.get('recipe', 'dirs')}",
        evaluation=evaluation,
        charts=[chart for chart in charts if chart],
        found=found,
        album=album,
        strips=[(strip, _numbers(found, strip.item)) for strip in sorted(album.strips, key=lambda strip: strip.item)],
        legend=legend,
        number=number,
        best=best,
        text_of=text_of,
        isfinite=math.isfinite,
    )


def _numbers(found: Measurements, item: int) -> str:
    """An item's numbers as JSON, by which the page's script sorts and filters."""
    values = (float(column[item]) for column in found.values.values())
    return json.dumps([value if math.isfinite(value) else None for value in values])


def over_angle(evaluation: Evaluation, column: Column) -> str:
    """A line per method over yaw, with its 95 % intervals; empty without two angles or without numbers."""
    rows = [row for rows in evaluation.of_axis("yaw").values() for row in rows if math.isfinite(row.means[column.name])]
    angles = sorted({_angle(row) for row in rows})
    if len(angles) < 2:
        return ""
    lines = []
    for method in evaluation.methods:
        own = sorted((row for row in rows if row.method == method), key=_angle)
        bounds = [(_angle(row), *row.intervals[column.name]) for row in own if column.name in row.intervals]
        points = [(_angle(row), row.means[column.name]) for row in own]
        lines.append(Line(points, [bound for bound in bounds if math.isfinite(bound[1])]))
    ticks = [(angle, f"{angle:+d}°") for angle in angles[:: math.ceil(len(angles) / 7)]]
    return line_chart(column.title, lines, over="yaw", ends=(angles[0], angles[-1]), ticks=ticks)


def _angle(row: Row) -> int:
    return int(row.group.removesuffix("°"))
