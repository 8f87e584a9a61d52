"""The pictures that a page shows: a strip per item, of the input, what became of it, and the truth."""

from __future__ import annotations

import base64
import heapq
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from deformcli.data import Batch
from deformcli.evaluation import TARGET
from deformcli.images import Picture, encode_image, to_uint8

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
        for number, error in enumerate(errors, self.seen):
            if len(self.strips) < MOST or error > self.strips[0].error:
                strip = Strip(error, number, _data_uri(strips[number - self.seen]))
                (heapq.heappush if len(self.strips) < MOST else heapq.heapreplace)(self.strips, strip)
        self.seen += len(errors)


def _data_uri(image: Tensor) -> str:
    encoded = encode_image(Picture(to_uint8(image)), ".webp", quality=82)
    return f"data:image/webp;base64,{base64.b64encode(encoded).decode()}"
