"""What searching the picture itself makes of a batch's holes: the baselines beside the network, and both together."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deformcli.data import Batch
from deformcli.images import to_tensor, to_uint8
from deformcli.warp import dominant_offsets, nearest_fill, patch_fill, shift_map

from .mirrored import fill_wide

Pixels = NDArray[np.uint8]


def by_patches(batch: Batch) -> Tensor:
    """PatchMatch: the mean of what patches vote for, coarse to fine. Without a whole patch, the nearest fill."""
    return _each(nearest_fill(batch["image"], batch["known"]), batch, _patches)


def by_offsets(batch: Batch) -> Tensor:
    """The shift map of the dominant offsets (He and Sun 2012)."""
    return _each(batch["image"] * batch["known"], batch, _offsets)


def with_moved_pixels(output: Tensor, batch: Batch) -> Tensor:
    """What a network made, with moved pixels in wide holes, as `deform inpaint` does."""
    return _each(output, batch, _moved)


def _each(images: Tensor, batch: Batch, fill: Callable[[Pixels, NDArray[np.bool_]], Pixels]) -> Tensor:
    known = batch["known"][:, 0].cpu().numpy() > 0
    made = [to_tensor(fill(to_uint8(image), holes)) for image, holes in zip(images, known, strict=True)]
    return torch.where(batch["known"] > 0, batch["image"], torch.cat(made).to(batch["image"].device))


def _patches(image: Pixels, known: NDArray[np.bool_]) -> Pixels:
    filled, field = patch_fill(image, known)
    return np.where((field < 0)[..., None], image, filled)


def _offsets(image: Pixels, known: NDArray[np.bool_]) -> Pixels:
    source = shift_map(image, known, dominant_offsets(image, known))
    return np.where(known[..., None], image, image.reshape(-1, 3)[source])


def _moved(image: Pixels, known: NDArray[np.bool_]) -> Pixels:
    image = image.copy()
    fill_wide(image, known)
    return image
