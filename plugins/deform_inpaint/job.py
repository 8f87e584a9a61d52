"""What `deform inpaint` does with pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from deformcli.batch import Done, Job, Output, Work
from deformcli.images import Picture
from deformcli.options import NetworkOptions
from deformcli.weights import named_files

from .masks import fill_weights, mask_files
from .options import MaskOptions


@dataclass
class Inpaint(Job):
    """Fills each picture where its mask says."""

    network: NetworkOptions
    masks: MaskOptions
    tile: int | None
    max_pixels: int
    suffix = "-inpainted"
    together = False  # a picture alone has windows enough for the network

    def load(self) -> None:
        from .inpainter import Inpainter

        self.inpainter = Inpainter.load(self.network)

    def reads(self, source: Path) -> list[Path]:
        """The picture's mask, and the weights."""
        return [*mask_files(source, self.masks), *named_files(self.network.weights)]

    def preview(self, work: Work) -> list[str]:
        """How much is to be filled."""
        weights, notes = work.found
        return [f"{(weights > 0).mean():.1%} of the pixels are to be filled", *notes]

    def prepare(self, source: Path, picture: Picture) -> tuple[np.ndarray, list[str]]:
        """How much of each pixel is to be replaced, (H, W) uint8, and notes."""
        return fill_weights(picture, source, self.masks, max_pixels=self.max_pixels)

    def __call__(self, works: Sequence[Work]) -> list[Done]:
        return [self._done(work.picture, *work.found) for work in works]

    def _done(self, picture: Picture, weights: np.ndarray, notes: list[str]) -> Done:
        return Done([Output(self._fill(picture, weights))], notes)

    def _fill(self, picture: Picture, weights: np.ndarray) -> Picture:
        if self.masks.mask == "alpha":  # what was transparent gets its pixels
            picture = replace(picture, alpha=None)
        return self.inpainter.fill(picture, weights, tile=self.tile)
