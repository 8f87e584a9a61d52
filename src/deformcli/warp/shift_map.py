"""Holes filled by a few offsets: those by which a picture looks most like itself, cut together where they agree.

He and Sun, Statistics of patch offsets for image completion (2012). C++: `csrc/labelling.cpp`.
"""

from __future__ import annotations

import ctypes
from functools import cache

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from . import native
from .fill import nearest_known
from .patchmatch import NONE, Field, Mask, inner, search

RADIUS = 3
PIXELS = 1 << 17  # of the picture in which offsets are counted, at most
CUT = 12_000  # pixels of the holes that are cut at first, at most
APART = 15  # an offset is at least a fifteenth of the picture long: every patch is like what is beside it
BLUR = 1.4  # of the counts, pixels
SWEEPS = 2
UNKNOWN, IMPOSSIBLE = 4 * 255, 1 << 24

Offsets = NDArray[np.int32]
"""(K, 2), y and x in pixels, from a pixel of a hole to what is moved there."""


def dominant_offsets(image: NDArray[np.uint8], known: Mask, *, count: int = 60, seed: int = 0) -> Offsets:
    """The offsets between patches of a picture (H, W, 3) that look alike, the `count` most frequent, at most, first."""
    scale = max(1, int(np.ceil((known.size / PIXELS) ** 0.5)))
    image, known = _smaller(image, known, scale)
    height, width = known.shape
    centres = inner(known, RADIUS)
    price, none = centres.astype(np.int32) - 1, np.full(known.shape, NONE, np.int32)
    apart = max(height, width) // APART + 1
    field, _ = search(_rgbx(image), centres, price, none, radius=RADIUS, passes=5, seed=seed, apart=apart)
    y, x = np.nonzero(centres & (field != NONE))
    source = field[y, x]
    counts = np.zeros((2 * height - 1, 2 * width - 1), np.float32)
    np.add.at(counts, (source // width - y + height - 1, source % width - x + width - 1), 1)
    counts = cv2.GaussianBlur(counts, (0, 0), BLUR)
    peaks = np.flatnonzero((counts == cv2.dilate(counts, np.ones((9, 9), np.uint8))) & (counts > 0))
    peaks = peaks[np.argsort(-counts.reshape(-1)[peaks], kind="stable")[:count]]
    y, x = np.unravel_index(peaks, counts.shape)
    return scale * np.stack([y - height + 1, x - width + 1], 1).astype(np.int32)


def offset_flows(offsets: Offsets, height: int, width: int) -> Tensor:
    """Each offset as a flow (K, 2, H, W) for `backward_warp`."""
    flows = torch.from_numpy(offsets[:, ::-1].copy()).float()  # x, y
    return flows[..., None, None].expand(-1, -1, height, width)


def shift_map(image: NDArray[np.uint8], known: Mask, offsets: Offsets) -> Field:
    """The known pixel, as an index into H * W, that one of the offsets moves to each pixel of a hole; NONE elsewhere.

    Chosen for the least seams (`labelling_cost`), in a smaller picture first if the holes of `image` (H, W, 3) are
    large. A pixel to which no offset moves a known one gets the offset, and source, of the nearest that has one.
    """
    scale = max(1, int(np.ceil((np.count_nonzero(~known) / CUT) ** 0.5)))
    label = None
    if scale > 1:
        small, small_known = _smaller(image, known, scale)
        rounded = np.round(offsets / scale).astype(np.int32)
        label = label_holes(small, small_known, rounded, _first_that_fits(small_known, rounded), ~small_known)
        rows, columns = (
            np.minimum(np.arange(side) // scale, limit - 1)
            for side, limit in zip(known.shape, label.shape, strict=True)
        )
        label = label[rows][:, columns]
    fitting = _first_that_fits(known, offsets)
    if label is None:
        label, free = fitting, ~known
    else:
        label = np.where(_fits(known, offsets, label), label, fitting)
        edges = cv2.morphologyEx(label.astype(np.int16), cv2.MORPH_GRADIENT, np.ones((2 * scale + 1,) * 2, np.uint8))
        free = ~known & (edges > 0)
    return _sources(known, offsets, label_holes(image, known, offsets, label, free))


def label_holes(image: NDArray[np.uint8], known: Mask, offsets: Offsets, label: Field, free: Mask) -> Field:
    """A `label` (H, W), of each hole's pixel the number of an offset or NONE, of less `labelling_cost`, where `free`.

    By alpha expansion. Twin, by single pixels: `label_holes_reference`.
    """
    if not native.available()[0]:
        return label_holes_reference(image, known, offsets, label, free)
    (height, width), label = known.shape, np.array(label, np.int32, order="C")
    arrays: list[NDArray] = [
        _rgbx(image),
        known.astype(np.uint8),
        free.astype(np.uint8),
        np.ascontiguousarray(offsets, np.int32),
        label,
    ]
    if _function()(*[array.ctypes.data for array in arrays], height, width, len(offsets), SWEEPS):
        raise MemoryError("label_holes: no memory for the graph")
    return label


@cache
def _function():
    function = ctypes.CDLL(str(native.LIBRARY))["deform_labelling"]
    function.argtypes = (*[ctypes.c_void_p] * 5, *[ctypes.c_int] * 4)
    return function


def label_holes_reference(image: NDArray[np.uint8], known: Mask, offsets: Offsets, label: Field, free: Mask) -> Field:
    """`label_holes` in NumPy: every second pixel takes the offset that is best while its neighbours keep theirs."""
    label, colors = label.copy(), _rgbx(image).astype(np.int32)
    chequered = np.indices(known.shape).sum(0) % 2 == 1
    for number in range(2 * SWEEPS):
        turn = free & (label != NONE) & (chequered == bool(number % 2))
        cost = _local_costs(colors, known, offsets, label)  # (K, H, W)
        here = np.take_along_axis(cost, label.clip(min=0)[None], 0)[0]
        better = turn & (cost.min(0) < here)
        label[better] = cost.argmin(0)[better]
    return label


def labelling_cost(image: NDArray[np.uint8], known: Mask, offsets: Offsets, label: Field) -> int:
    """How much the seams are seen: over neighbours, what the offsets of both would bring to each of the two, L1.

    A known pixel has the offset nought. 4 * 255 where one of the two colours is not known.
    """
    colors = _rgbx(image).astype(np.int32)
    cost = _local_costs(colors, known, offsets, label)
    here = np.take_along_axis(cost, label.clip(min=0)[None], 0)[0][label != NONE]
    rim = _local_costs(colors, known, offsets, np.full_like(label, NONE))
    alone = np.take_along_axis(rim, label.clip(min=0)[None], 0)[0][label != NONE]
    return int((here - alone).sum()) // 2 + int(alone.sum())  # a seam between two of the hole's pixels is seen by both


def _local_costs(colors: NDArray[np.int32], known: Mask, offsets: Offsets, label: Field) -> NDArray[np.int32]:
    """What each offset would cost in each pixel while its neighbours keep their labels: (K, H, W)."""
    moved = np.stack([_moved(colors, known, offset) for offset in offsets])  # (K, H, W, 5), the last 1 = known
    cost = np.where(moved[..., 4] > 0, 0, IMPOSSIBLE).astype(np.int32)
    own = np.concatenate([colors, known[..., None]], 2)
    for dy, dx in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        other = _shifted(label[..., None], dy, dx, NONE)[..., 0]
        there = _shifted(moved.transpose(1, 2, 0, 3).reshape(*known.shape, -1), dy, dx, 0)
        there = there.reshape(*known.shape, len(offsets), 5).transpose(2, 0, 1, 3)  # at the neighbour, by each offset
        beside = _shifted(own, dy, dx, 0)
        cost += np.where(beside[..., 4] > 0, 2 * _difference(there, beside), 0)
        chosen = other.clip(min=0)[None, ..., None]
        here_by_other, there_by_other = (np.take_along_axis(by, chosen, 0)[0] for by in (moved, there))
        seam = _difference(moved, here_by_other) + _difference(there, there_by_other)
        same = np.arange(len(offsets))[:, None, None] == other
        cost += np.where((other != NONE) & ~same, seam, 0)
    return cost


def _difference(a: NDArray[np.int32], b: NDArray[np.int32]) -> NDArray[np.int32]:
    both = (a[..., 4] > 0) & (b[..., 4] > 0)
    return np.where(both, np.abs(a[..., :4] - b[..., :4]).sum(-1), UNKNOWN)


def _moved(colors: NDArray[np.int32], known: Mask, offset: NDArray[np.int32]) -> NDArray[np.int32]:
    own = np.concatenate([colors, known[..., None]], 2)
    return _shifted(own, int(offset[0]), int(offset[1]), 0)


def _shifted(values: NDArray, dy: int, dx: int, beyond: int) -> NDArray:
    """What lies `dy`, `dx` from each pixel of (H, W, C)."""
    made = np.full_like(values, beyond)
    height, width = values.shape[:2]
    if abs(dy) < height and abs(dx) < width:
        made[max(-dy, 0) : height - max(dy, 0), max(-dx, 0) : width - max(dx, 0)] = values[
            max(dy, 0) : height - max(-dy, 0), max(dx, 0) : width - max(-dx, 0)
        ]
    return made


def _rgbx(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.dstack([image, np.zeros(image.shape[:2], np.uint8)])


def _smaller(image: NDArray[np.uint8], known: Mask, scale: int) -> tuple[NDArray[np.uint8], Mask]:
    """Means of squares of `scale` pixels, what is left at the edges dropped; known where all of them are."""
    height, width = (side // scale for side in known.shape)
    squares = image[: height * scale, : width * scale].reshape(height, scale, width, scale, 3)
    whole: Mask = known[: height * scale, : width * scale].reshape(height, scale, width, scale).all((1, 3))  # type: ignore[assignment]
    return squares.mean((1, 3)).round().astype(np.uint8), whole


def _fits(known: Mask, offsets: Offsets, label: Field) -> Mask:
    """Where a hole's pixel has a label whose offset leads to a known one."""
    return _sources_or_none(known, offsets, label) != NONE


def _sources_or_none(known: Mask, offsets: Offsets, label: Field) -> Field:
    height, width = known.shape
    y, x = np.indices(known.shape)
    if not len(offsets):
        return np.full(known.shape, NONE, np.int32)
    y, x = y + offsets[label, 0], x + offsets[label, 1]
    inside = ~known & (label != NONE) & (y >= 0) & (x >= 0) & (y < height) & (x < width)
    place = np.where(inside, y * width + x, 0)
    return np.where(inside & known.reshape(-1)[place], place, NONE).astype(np.int32)


def _first_that_fits(known: Mask, offsets: Offsets) -> Field:
    label = np.full(known.shape, NONE, np.int32)
    for number in reversed(range(len(offsets))):
        label[_fits(known, offsets, np.full(known.shape, number, np.int32))] = number
    return label


def _sources(known: Mask, offsets: Offsets, label: Field) -> Field:
    """Of each hole's pixel the one that its label moves there, or that of the nearest pixel that has one."""
    source = _sources_or_none(known, offsets, label)
    lacking = ~known & (source == NONE)
    if lacking.any():
        own = np.where(known, np.arange(known.size, dtype=np.int32).reshape(known.shape), source)
        nearest = nearest_known(torch.from_numpy(own != NONE)[None, None])[0].numpy()
        source[lacking] = own.reshape(-1)[nearest[lacking]]
    return source
