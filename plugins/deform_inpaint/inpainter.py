"""The inpainter to call: weights in, pictures of any size filled."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from deformcli.engine.recipe import build_generator

from .networks import Generator, GeneratorConfig

WINDOW, STRIDE = 128, 96  # the networks see windows of the size they were trained at, which overlap
BATCH = 8  # windows at once
THICKNESS = 16.0  # widest hole in pixels that is filled at full resolution; wider ones are filled smaller


class Inpainter:
    """Picture (1, 3, H, W) in [-1, 1] and known (1, 1, H, W), 0 = hole -> the picture filled, known pixels kept."""

    def __init__(self, generator: Generator, device: torch.device) -> None:
        self.generator = generator.to(device).eval()
        self.device = device

    @classmethod
    def from_weights(cls, path: Path, device: torch.device) -> Inpainter:
        """Build the network a weights file describes. Raises WeightsError if it is not one of this task."""
        return cls(build_generator(Generator, GeneratorConfig, path, "inpaint"), device)

    @torch.inference_mode()
    def __call__(self, image: Tensor, known: Tensor) -> Tensor:
        """Fill holes of any width: wide ones at a resolution at which they are as wide as those trained on."""
        factor = thickness(known) / THICKNESS
        if factor <= 1:
            return torch.where(known > 0, image, self._fill(image, known))
        h, w = image.shape[2:]
        size = (max(16, round(h / factor)), max(16, round(w / factor)))
        weight = F.interpolate(known, size, mode="area")
        small = F.interpolate(image * known, size, mode="area") / weight.clamp_min(1e-6)
        filled = self._fill(small, (weight > weight.max() / 2).float())  # something is known, however little it was
        return torch.where(known > 0, image, F.interpolate(filled, (h, w), mode="bicubic", align_corners=False))

    def _fill(self, image: Tensor, known: Tensor) -> Tensor:
        """Run the network on every window that has a hole, and blend the windows where they overlap."""
        h, w = image.shape[2:]
        grow = (0, max(0, WINDOW - w), 0, max(0, WINDOW - h))
        image, known = F.pad(image, grow, mode="replicate"), F.pad(known, grow, mode="replicate")
        total, weights = torch.zeros_like(image), torch.zeros_like(known)
        ramp = blending_weights()
        corners = list(windows_with_holes(known))
        for start in range(0, len(corners), BATCH):
            some = corners[start : start + BATCH]
            made = self.generator(_cut(image, some).to(self.device), _cut(known, some).to(self.device)).output.cpu()
            for (top, left), window in zip(some, made, strict=True):
                place = (..., slice(top, top + WINDOW), slice(left, left + WINDOW))
                total[place] += window * ramp
                weights[place] += ramp
        return (total / weights.clamp_min(1e-6)).clamp(-1, 1)[..., :h, :w]


def thickness(known: Tensor) -> float:
    """Width in pixels of the widest hole in `known` (1, 1, H, W), the picture's edge counting as unknown."""
    holes = (known[0, 0] == 0).cpu().numpy().astype(np.uint8)
    return 2 * float(cv2.distanceTransform(holes, cv2.DIST_L2, cv2.DIST_MASK_PRECISE).max()) - 1


def windows_with_holes(known: Tensor) -> Iterator[tuple[int, int]]:
    """Top left corners of the overlapping windows of (1, 1, H, W), at least WINDOW each way, that have a hole."""
    for top in _starts(known.shape[2]):
        for left in _starts(known.shape[3]):
            if (known[..., top : top + WINDOW, left : left + WINDOW] == 0).any():
                yield top, left


def _starts(length: int) -> list[int]:
    last = length - WINDOW
    return [*range(0, last, STRIDE), last]


def _cut(image: Tensor, corners: list[tuple[int, int]]) -> Tensor:
    return torch.cat([image[..., top : top + WINDOW, left : left + WINDOW] for top, left in corners])


def blending_weights() -> Tensor:
    """(WINDOW, WINDOW): 1 in the middle, falling linearly over the overlap toward the window's edge."""
    distance = torch.arange(1, WINDOW + 1).minimum(torch.arange(WINDOW, 0, -1)).float()
    ramp = (distance / (WINDOW - STRIDE)).clamp(max=1)
    return ramp[:, None] * ramp
