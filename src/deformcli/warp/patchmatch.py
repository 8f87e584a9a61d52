"""Patches that look alike: PatchMatch (Barnes et al. 2009) and the votes of its patches. C++: `csrc/patchmatch.cpp`.

Pictures here are (H, W, 4) uint8: red, green, blue and one more channel that a caller may compare patches by. A field
is (H, W) int32: for each pixel the index, into H * W, of the pixel it looks like, or NONE.
"""

from __future__ import annotations

import ctypes
from functools import cache

import cv2
import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from torch import Tensor

from . import native

NONE = -1
FAR = np.iinfo(np.int32).max
CHANNELS = 4
PARALLEL = 8192  # pixels: for fewer, threads are not worth waking

Picture = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Field = NDArray[np.int32]
Price = NDArray[np.int32]


def inner(mask: Mask, radius: int) -> Mask:
    """The centres of the square patches, (2 radius + 1) pixels wide, that lie inside the picture and the mask."""
    side = 2 * radius + 1
    result = np.zeros_like(mask)
    if min(mask.shape) >= side:
        rows = sliding_window_view(mask, side, 0).all(2)
        result[radius:-radius, radius:-radius] = sliding_window_view(rows, side, 1).all(2)
    return result


def field_flow(field: Field) -> Tensor:
    """The field as a flow (1, 2, H, W) for `backward_warp`, 0 where it is NONE. Its negative says where sources go."""
    y, x = np.indices(field.shape)
    source = np.where(field == NONE, y * field.shape[1] + x, field)
    return torch.from_numpy(np.stack([source % field.shape[1] - x, source // field.shape[1] - y])[None]).float()


def search(
    image: Picture,
    wanted: Mask,
    price: Price,
    field: Field,
    *,
    radius: int,
    passes: int,
    seed: int,
    seen: Mask | None = None,
    apart: int = 0,
    threads: int = 0,
) -> tuple[Field, NDArray[np.int32]]:
    """A better `field`: for each `wanted` pixel one whose patch is much like its own.

    The same for any number of threads. Twin: `search_reference`.

    Args:
        wanted: (H, W), centres of patches that lie inside the picture.
        price: (H, W), of a patch as a source, in the units of distances; below 0 it is none. Others lie inside.
        passes: how often neighbours are asked and places drawn; 0 = only the distances of what is given.
        seen: (H, W), the pixels of wanted patches that are compared; None: all.
        apart: pixels, along rows or columns, that a patch's source is at least away.
        threads: 0 = as many as torch has, if there is enough to do.

    Returns:
        field: improved where wanted, else unchanged.
        cost: (H, W) int32, the squared distance of the patches over all channels, and the price; FAR without a source.
    """
    if not native.available()[0]:
        return search_reference(
            image, wanted, price, field, radius=radius, passes=passes, seed=seed, seen=seen, apart=apart
        )
    height, width = wanted.shape
    field, cost = field.copy(), np.full(wanted.shape, FAR, np.int32)
    compared = (
        [None, None] if seen is None else [_bytes(np.repeat(seen[..., None], CHANNELS, 2)), _counts(seen, radius)]
    )
    arrays = [_bytes(image), *compared, _bytes(wanted), _whole(price), field, cost]
    numbers = (height, width, radius, apart, passes, seed, threads or _threads(wanted))
    if _functions()[0](*[array if array is None else array.ctypes.data for array in arrays], *numbers):
        raise MemoryError("search: no memory for a second field")
    return field, cost


def vote(
    image: Picture, known: Mask, field: Field, weight: NDArray[np.float32], *, radius: int, threads: int = 0
) -> tuple[Picture, Field]:
    """The picture with each hole's pixel the weighted mean of what the patches over it have in its place.

    Args:
        field: (H, W), sources of patches that `known` (H, W) pixels alone are part of.
        weight: (H, W), above 0, of each patch.

    Returns:
        image: filled where a patch covers it. Twin: `vote_reference`.
        picked: (H, W), the pixel that the heaviest of the patches has in the hole's place, NONE elsewhere.
    """
    if not native.available()[0]:
        return vote_reference(image, known, field, weight, radius=radius)
    height, width = known.shape
    filled, picked = image.copy(), np.empty(known.shape, np.int32)
    arrays: list[NDArray] = [filled, _bytes(known), _whole(field), np.ascontiguousarray(weight), picked]
    _functions()[1](*[array.ctypes.data for array in arrays], height, width, radius, threads or _threads(~known))
    return filled, picked


def _threads(work: Mask) -> int:
    return torch.get_num_threads() if np.count_nonzero(work) >= PARALLEL else 1


def _counts(seen: Mask, radius: int) -> NDArray[np.uint8]:
    """How many pixels of the patch around each are seen."""
    ones = np.ones((2 * radius + 1,) * 2, np.uint8)
    return np.asarray(cv2.filter2D(seen.astype(np.uint8), -1, ones, borderType=cv2.BORDER_CONSTANT), np.uint8)


def _bytes(array: NDArray) -> NDArray[np.uint8]:
    return np.ascontiguousarray(array).view(np.uint8)


def _whole(array: NDArray[np.int32]) -> NDArray[np.int32]:
    return np.ascontiguousarray(array, np.int32)


@cache
def _functions() -> tuple:
    library = ctypes.CDLL(str(native.LIBRARY))
    find, count = library["deform_patch_search"], library["deform_patch_vote"]
    find.argtypes = (*[ctypes.c_void_p] * 7, *[ctypes.c_int] * 5, ctypes.c_uint64, ctypes.c_int)
    count.argtypes = (*[ctypes.c_void_p] * 5, *[ctypes.c_int] * 4)
    count.restype = None
    return find, count


def search_reference(
    image: Picture,
    wanted: Mask,
    price: Price,
    field: Field,
    *,
    radius: int,
    passes: int,
    seed: int,
    seen: Mask | None = None,
    apart: int = 0,
) -> tuple[Field, NDArray[np.int32]]:
    """`search` in NumPy: every pixel tries the same places in the same order, one try of all pixels after another."""
    height, width = wanted.shape
    pixels = np.flatnonzero(wanted).astype(np.int64)
    y, x = pixels // width, pixels % width
    compare = _Comparison(image, seen, price, radius)
    best = field.reshape(-1)[pixels].astype(np.int64)
    least = compare(pixels, best, best != NONE)
    for number in range(passes):
        before = field.reshape(-1).copy()
        before[pixels] = best

        def consider(at_y: NDArray, at_x: NDArray, possible: NDArray) -> None:
            inside = possible & (at_y >= 0) & (at_x >= 0) & (at_y < height) & (at_x < width)
            place = np.where(inside, at_y * width + at_x, 0)
            inside &= (place != best) & (price.reshape(-1)[place] >= 0)
            if apart:
                inside &= np.maximum(abs(at_y - y), abs(at_x - x)) >= apart
            found = compare(pixels, place, inside)
            better = found < least
            best[better], least[better] = place[better], found[better]

        for step in (1, 2 << number % 4):
            for dy, dx in ((-step, 0), (step, 0), (0, -step), (0, step)):
                inside = (y + dy >= 0) & (x + dx >= 0) & (y + dy < height) & (x + dx < width)
                other = before[np.where(inside, pixels + dy * width + dx, 0)].astype(np.int64)
                consider(other // width - dy, other % width - dx, inside & (other != NONE))
        draw = _scramble(_scramble(np.array([seed + number], np.uint64)) + pixels.astype(np.uint64))
        reach = max(height, width)
        while reach:
            draw = _scramble(draw)
            at = []
            for centre, own, size, bits in (
                (best // width, y, height, draw >> np.uint64(32)),
                (best % width, x, width, draw & np.uint64(0xFFFFFFFF)),
            ):
                centre = np.where(best == NONE, own, centre)
                low, high = (centre - reach).clip(min=0), (centre + reach).clip(max=size - 1)
                at.append(low + (bits % (high - low + 1).astype(np.uint64)).astype(np.int64))
            consider(at[0], at[1], np.ones(len(pixels), bool))
            reach //= 2
    result, cost = field.copy(), np.full(wanted.shape, FAR, np.int32)
    result.reshape(-1)[pixels], cost.reshape(-1)[pixels] = best, least
    return result, cost


class _Comparison:
    """Costs (n,) of the patches around pixels and places, FAR where that is not `possible`."""

    def __init__(self, image: Picture, seen: Mask | None, price: Price, radius: int) -> None:
        height, width = image.shape[:2]
        axis = np.arange(-radius, radius + 1)
        self.steps = (axis[:, None] * width + axis).reshape(-1)
        self.colors = image.reshape(-1, CHANNELS).astype(np.int64)
        self.price = price.reshape(-1).astype(np.int64)
        self.seen = np.ones(height * width, np.int64) if seen is None else seen.reshape(-1).astype(np.int64)

    def __call__(self, pixels: NDArray, places: NDArray, possible: NDArray) -> NDArray[np.int64]:
        result = np.full(len(pixels), FAR, np.int64)
        here, there = pixels[possible], places[possible]
        total, count = np.zeros(len(here), np.int64), np.zeros(len(here), np.int64)
        for step in self.steps:
            seen = self.seen[here + step]
            total += seen * np.square(self.colors[here + step] - self.colors[there + step]).sum(1)
            count += seen
        distance = np.where(count, total * len(self.steps) // np.maximum(count, 1), FAR)
        result[possible] = np.minimum(distance + self.price[there], FAR)
        return result


def _scramble(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A number that depends on its place alone: the finaliser of splitmix64 (Steele et al. 2014)."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def vote_reference(
    image: Picture, known: Mask, field: Field, weight: NDArray[np.float32], *, radius: int
) -> tuple[Picture, Field]:
    """`vote` in NumPy."""
    height, width = known.shape
    holes = np.flatnonzero(~known)
    y, x = holes // width, holes % width
    colors = image.reshape(-1, CHANNELS)
    total, share_of_all = np.zeros((len(holes), CHANNELS), np.float32), np.zeros(len(holes), np.float32)
    most, best = np.zeros(len(holes), np.float32), np.full(len(holes), NONE, np.int32)
    for dy in range(-radius, radius + 1):
        for dx in range(-radius, radius + 1):
            step = dy * width + dx
            inside = (y + dy >= 0) & (x + dx >= 0) & (y + dy < height) & (x + dx < width)
            centre = np.where(inside, holes + step, 0)
            source = field.reshape(-1)[centre]
            inside &= source != NONE
            place = np.where(inside, source - step, 0)
            share = np.where(inside, weight.reshape(-1)[centre], np.float32(0))
            total += share[:, None] * colors[place]
            share_of_all += share
            better = share > most
            most[better], best[better] = share[better], place[better]
    filled, picked = image.copy(), np.full(known.shape, NONE, np.int32)
    covered = share_of_all > 0
    made = (total[covered] / share_of_all[covered, None] + np.float32(0.5)).astype(np.uint8)
    filled.reshape(-1, CHANNELS)[holes[covered]] = made
    picked.reshape(-1)[holes] = best
    return filled, picked
