"""The evaluation as one self-contained HTML page: tables, charts over the angle, and the pictures to browse."""

from __future__ import annotations

import base64
import heapq
import json
import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from deformcli.data import Batch
from deformcli.evaluation import TARGET, Column, Evaluation, Measurements, Row
from deformcli.images import Picture, encode_image, to_uint8
from deformcli.pages import Line, legend, line_chart, render

from .tables import best, number, text_of

MOST = 240
"""Items that are kept, those with the largest error of the first method: a page is to open in any browser."""


class Strip(NamedTuple):
    """One item's pictures side by side, as a data URI; ordered by its error."""

    error: float
    item: int
    uri: str


class Album:
    """Sees the batches as they are measured (an `Observer` of `measure`), and keeps strips of the worst."""

    def __init__(self, pictures: Callable[[Batch], Mapping[str, Tensor]]) -> None:
        """`pictures` of a batch are columns beside the methods' own; "output", "target" and flows are left out."""
        self.pictures, self.seen = pictures, 0
        self.columns: list[str] = []
        self.strips: list[Strip] = []

    def __call__(self, batch: Batch, images: Mapping[str, Tensor], measured: Mapping[tuple[str, str], Tensor]) -> None:
        target, first = batch[TARGET], next(iter(images))
        own = self.pictures(batch)
        shown = {
            name: picture for name, picture in own.items() if name not in (TARGET, "output") and "flow" not in name
        }
        self.columns = [*shown, *images, TARGET]
        errors = (images[first] - target).square().mean((1, 2, 3)).tolist()
        strips = torch.cat([*shown.values(), *images.values(), target], 3)  # (N, 3, H, columns * W)
        for item, error in enumerate(errors, self.seen):
            if len(self.strips) < MOST or error > self.strips[0].error:
                strip = Strip(error, item, _data_uri(strips[item - self.seen]))
                (heapq.heappush if len(self.strips) < MOST else heapq.heapreplace)(self.strips, strip)
        self.seen += len(errors)


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


def _data_uri(image: Tensor) -> str:
    encoded = encode_image(Picture(to_uint8(image)), ".webp", quality=82)
    return f"data:image/webp;base64,{base64.b64encode(encoded).decode()}"
