"""A metric over the angle, as inline SVG; colours are the page's classes s0, s1, ..."""

from __future__ import annotations

import math
from html import escape

from .statistics import Column, Report, Row

WIDTH, HEIGHT = 360, 220
LEFT, RIGHT, TOP, BOTTOM = 52, 10, 24, 28


def over_angle(report: Report, column: Column) -> str:
    """A line per method over yaw, with its 95 % intervals; empty without two angles or without numbers."""
    rows = [row for rows in report.of_axis("yaw").values() for row in rows if math.isfinite(row.means[column.name])]
    angles = sorted({_angle(row) for row in rows})
    if len(angles) < 2:
        return ""
    ends = [bound for row in rows for bound in (row.means[column.name], *row.intervals.get(column.name, ()))]
    low, high = min(filter(math.isfinite, ends)), max(filter(math.isfinite, ends))
    span = (high - low) or 1.0

    def x(angle: float) -> float:
        return LEFT + (angle - angles[0]) / (angles[-1] - angles[0]) * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return TOP + (high - value) / span * (HEIGHT - TOP - BOTTOM)

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(column.title)} over yaw">']
    parts.append(f'<text class="title" x="{WIDTH / 2}" y="14">{escape(column.title)}</text>')
    for value in (low, (low + high) / 2, high):
        parts.append(f'<line class="rule" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>')
        parts.append(f'<text class="value" x="{LEFT - 5}" y="{y(value) + 4:.1f}">{value:.3g}</text>')
    for angle in angles[:: math.ceil(len(angles) / 7)]:
        parts.append(f'<text class="angle" x="{x(angle):.1f}" y="{HEIGHT - 8}">{angle:+d}°</text>')
    for index, method in enumerate(report.methods):
        mine = sorted((row for row in rows if row.method == method), key=_angle)
        for row in mine:
            bounds = row.intervals.get(column.name)
            if bounds and math.isfinite(bounds[0]):
                at, bottom, top = x(_angle(row)), y(bounds[0]), y(bounds[1])
                parts.append(
                    f'<line class="s{index} whisker" x1="{at:.1f}" x2="{at:.1f}" y1="{bottom:.1f}" y2="{top:.1f}"/>'
                )
        points = " ".join(f"{x(_angle(row)):.1f},{y(row.means[column.name]):.1f}" for row in mine)
        parts.append(f'<polyline class="s{index}" points="{points}"/>')
    return "".join([*parts, "</svg>"])


def _angle(row: Row) -> int:
    return int(row.group.removesuffix("°"))
