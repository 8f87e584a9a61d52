"""A large picture through a network that sees small windows: only windows with holes, tile by tile, without seams."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

OVERLAP = 1 / 4  # of neighbouring windows
BATCH = 8  # windows of 128 pixels at once
BYTES_PER_PIXEL = 48  # of a tile's work

Solve = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(windows (N, S, S, 3) float32 in [-1, 1], known (N, S, S) bool) -> filled windows."""


class Window(NamedTuple):
    """A window's place on one axis, and its share in each of its pixels; the shares of all windows sum to 1."""

    start: int
    share: np.ndarray

    @property
    def place(self) -> slice:
        return slice(self.start, self.start + len(self.share))

    def moved(self, distance: int) -> Window:
        return Window(self.start + distance, self.share)


def fill_tiles(pixels: np.ndarray, known: np.ndarray, solve: Solve, tile: int, window: int) -> None:
    """Fill, in place, the holes of `pixels` (H, W, 3) uint8 or uint16, where `known` (H, W) is False.

    `solve` gets windows `window` pixels wide, the size its network was trained at. A hole's pixel is the mean of the
    windows that see it, weighted by its distance from their edges. The windows lie on one grid across the picture, so
    that the border of a tile is no border of the result.
    """
    height, width = known.shape
    if min(height, width) < window:  # continued by its mirror image
        margin = ((0, max(0, window - height)), (0, max(0, window - width)))
        larger = np.pad(pixels, (*margin, (0, 0)), "symmetric")
        fill_tiles(larger, np.pad(known, margin, "symmetric"), solve, tile, window)
        pixels[:] = larger[:height, :width]
        return
    rows, columns = windows(height, window), windows(width, window)
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            holes = ~known[top : top + tile, left : left + tile]
            if holes.any():
                near = [(y, x) for y in _near(rows, top, tile) for x in _near(columns, left, tile)]
                pixels[top : top + tile, left : left + tile][holes] = _blend(
                    pixels, known, holes, near, (top, left), solve
                )


def windows(length: int, window: int) -> list[Window]:
    """The overlapping windows on an axis of `length` pixels, at least `window`."""
    last, overlap = length - window, round(window * OVERLAP)
    starts = [*range(0, last, window - overlap), last]
    ramp = np.minimum(np.arange(1, window + 1), np.arange(window, 0, -1)).clip(max=overlap)
    total = np.zeros(length, np.float32)
    for start in starts:
        total[start : start + window] += ramp
    return [Window(start, ramp / total[start : start + window]) for start in starts]


def count_windows(known: np.ndarray, window: int) -> int:
    """How many windows see a hole of `known` (H, W), of a picture that is one tile; at least 1."""
    rows, columns = (windows(max(length, window), window) for length in known.shape)
    return max(1, sum(not known[y.place, x.place].all() for y in rows for x in columns))


def tile_for(shape: tuple[int, int], window: int) -> int:
    """The side of a tile whose work takes a quarter of the free memory, no larger than a picture of that shape."""
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 2**30
    return max(window, min(int((free / 4 / BYTES_PER_PIXEL) ** 0.5), *shape))


def _near(axis: Sequence[Window], start: int, length: int) -> list[Window]:
    return [window for window in axis if start < window.place.stop and window.start < start + length]


def _blend(
    pixels: np.ndarray,
    known: np.ndarray,
    holes: np.ndarray,
    near: Sequence[tuple[Window, Window]],
    corner: tuple[int, int],
    solve: Solve,
) -> np.ndarray:
    """What fills the `holes` (h, w) of the tile at `corner`, from the windows near it: (n, 3) of the pixels' type."""
    side = len(near[0][0].share)
    framed = np.pad(holes, side)  # windows reach beyond the tile
    total = np.zeros((*framed.shape, 3), np.float32)
    shift = [side - start for start in corner]
    useful = [(y, x) for y, x in near if framed[y.moved(shift[0]).place, x.moved(shift[1]).place].any()]
    highest = np.iinfo(pixels.dtype).max
    batch = max(1, BATCH * 128**2 // side**2)
    for some in (useful[start : start + batch] for start in range(0, len(useful), batch)):
        cut = np.stack([pixels[y.place, x.place] for y, x in some])
        made = solve(cut * np.float32(2 / highest) - 1, np.stack([known[y.place, x.place] for y, x in some]))
        for (y, x), window in zip(some, made, strict=True):
            place = y.moved(shift[0]).place, x.moved(shift[1]).place
            total[place] += window * (y.share[:, None] * x.share)[..., None]
    filled = total[side:-side, side:-side][holes]
    return ((filled + 1) * (highest / 2)).round().clip(0, highest).astype(pixels.dtype)
