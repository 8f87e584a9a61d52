"""What `deform inpaint` does with pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from deformcli.batch import Done, Job, Work
from deformcli.images import Picture
from deformcli.options import NetworkOptions

from .masks import blend, fill_weights
from .options import MaskOptions


@dataclass
class Inpaint(Job):
    """Fills each picture where its mask says."""

    network: NetworkOptions
    masks: MaskOptions
    tile: int | None
    max_pixels: int
    together = False  # a picture alone has windows enough for the network

    def load(self) -> None:
        from deformcli.runtime.device import choose_device
        from deformcli.weights.store import resolve_weights

        from .inpainter import Inpainter

        path = resolve_weights(self.network.weights or "inpaint-128", task="inpaint", offline=self.network.offline)
        self.inpainter = Inpainter.from_weights(path, choose_device(self.network.device))

    def prepare(self, source: Path, picture: Picture) -> np.ndarray:
        """How much of each pixel is to be replaced, (H, W) uint8."""
        return fill_weights(picture, source, self.masks, max_pixels=self.max_pixels)

    def __call__(self, works: Sequence[Work]) -> list[Done]:
        return [Done.with_picture(self._fill(work.picture, work.found)) for work in works]

    def _fill(self, picture: Picture, weights: np.ndarray) -> Picture:
        filled = self.inpainter(picture.rgb, weights == 0, tile=self.tile)
        blend(filled, picture.rgb, weights)
        if self.masks.mask == "alpha":  # what was transparent has its pixels now
            picture = replace(picture, alpha=None)
        return picture.replaced(filled)
