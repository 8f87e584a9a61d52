"""Wide holes: pixels moved there from where the picture looks alike, joined without seams to what a network filled.

A network that was trained for strokes knows the colours of a wide hole, not its texture. Here each pixel of the hole is
one of the picture's known pixels (`deformcli.warp.patch_fill`), which brings the detail; the low frequencies near the
rim are the network's. Narrow parts of holes stay as the network filled them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from deformcli.warp import patch_fill

NARROW, WIDE = 10, 14  # half the width of a hole, in pixels, up to which it is the network's, from which it is moved
CONTEXT = 64, 512  # pixels around a hole, at least and at most, that are moved into it; between them, its size
LARGEST = 1024  # pixels across a hole that is filled at full resolution: some 400 MB
HOLD = 0.05  # how strongly a moved colour resists being shifted to fit its neighbours: over 1 / sqrt(HOLD) pixels
ITERATIONS = 40  # of conjugate gradients: what they leave is finer than a grey level
FINEST = 3.0  # pixels: standard deviation of the finest blur that takes colours from the network
PER_DEPTH = 0.5  # and of the blur by how deep in the hole a pixel is
OCTAVES = 6
TINT = (
    16 / 255
)  # of the full range: larger differences to the network are of content, not of light, and count ever less

Mask = NDArray[np.bool_]
Colors = NDArray[np.float32]
SIDES = ((0, 1), (0, -1), (1, 0), (-1, 0))


def move_into(filled: NDArray, known: Mask, progress: Callable[[float], object] = lambda share: None) -> None:
    """Put moved pixels into the wide parts of the holes of `filled` (H, W, 3) uint8 or uint16, in place.

    The holes, where `known` (H, W) is False, hold what a network made of them. Memory is bounded by LARGEST.
    `progress` is called with the share of the holes that is done, after each.
    """
    scale = np.iinfo(filled.dtype).max
    done, total = 0, (~known).sum()
    for place, hole in wide_holes(known):
        share = wideness(hole)[..., None]
        smooth = filled[place].astype(np.float32) / scale
        moved = _moved_in_reach(smooth, hole, known[place])
        made = smooth + share * (moved - smooth)
        filled[place][hole] = (made[hole] * scale).round().clip(0, scale)
        done += hole.sum()
        progress(float(done / total))


def all_moved(known: Mask) -> Mask:
    """The pixels of the holes of `known` (H, W) where `move_into` keeps only the tint of what a network made."""
    found = np.zeros_like(known)
    for place, hole in wide_holes(known):
        found[place] |= wideness(hole) == 1
    return found


def wide_holes(known: Mask) -> Iterator[tuple[tuple[slice, slice], Mask]]:
    """The connected holes that are wide somewhere: where they are, with their context, and which pixels are theirs."""
    holes = (~known).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(holes, connectivity=8)
    for number in range(1, len(stats)):
        x, y, width, height = stats[number, :4]
        if min(width, height) <= 2 * NARROW:
            continue
        margin = int(np.clip(max(width, height), *CONTEXT))
        rows = slice(max(y - margin, 0), min(y + height + margin, len(known)))
        place = rows, slice(max(x - margin, 0), min(x + width + margin, known.shape[1]))
        hole = labels[place] == number
        if _distance(hole).max() > NARROW:
            yield place, hole


def wideness(hole: Mask) -> Colors:
    """How much of each pixel is moved: 0 where no disc of radius NARROW fits in the hole, 1 where one of WIDE does."""
    depth, radii = _distance(hole), range(NARROW, WIDE + 1)
    opened = [_distance(~(depth > radius)) <= radius for radius in radii if (depth > radius).any()]
    return hole * np.sum(opened, 0, dtype=np.float32) / len(radii)


def _distance(mask: Mask) -> Colors:
    """From each pixel of the mask to the nearest that is not of it; as if the picture had more of it all around."""
    return cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)


def _moved_in_reach(smooth: Colors, hole: Mask, known: Mask) -> Colors:
    """`_moved`; for a hole of more than LARGEST pixels across, in a smaller picture whose detail is enlarged."""
    times = -(-max(cv2.boundingRect(hole.astype(np.uint8))[2:]) // LARGEST)
    if times == 1:
        return _moved(smooth, hole, known)
    height, width = hole.shape
    layers = [smooth, hole.astype(np.float32), known.astype(np.float32)]
    layers = [cv2.resize(layer, (width // times, height // times), interpolation=cv2.INTER_AREA) for layer in layers]
    detail = _moved(layers[0], layers[1] > 0, layers[2] > 1 - 1e-6) - layers[0]
    return smooth + cv2.resize(detail, (width, height), interpolation=cv2.INTER_CUBIC)


def _moved(smooth: Colors, hole: Mask, known: Mask) -> Colors:
    """The picture with moved pixels in the hole, colours in 0..1."""
    image = (smooth * 255).round().astype(np.uint8)
    _, field = patch_fill(image, ~hole, known, image)
    if (field[hole] < 0).any():  # no patch without a hole, or a hole that no patch lies over
        return smooth
    made, place = smooth.copy(), around(hole)
    made[place] = joined(smooth, hole, known, field, place)
    made[place] = _tinted(made[place], smooth[place], hole[place])
    return made


def around(hole: Mask) -> tuple[slice, slice]:
    """The box that the hole lies in, with the pixels beside it."""
    x, y, width, height = cv2.boundingRect(hole.astype(np.uint8))
    return slice(max(y - 1, 0), y + height + 1), slice(max(x - 1, 0), x + width + 1)


def joined(picture: Colors, hole: Mask, known: Mask, field: NDArray[np.int32], place: tuple[slice, slice]) -> Colors:
    """What is around the hole, with steps in it as where its pixels are from, or the mean of both where they differ.

    The least squares of steps and, with weight HOLD, of colours (Perez et al. 2003, screened).
    """
    colors, source = picture.reshape(-1, 3), np.where(hole, field, np.arange(hole.size).reshape(hole.shape))[place]
    hole = hole[place]
    copied = colors[source]
    wanted, degree = HOLD * copied, np.full((*hole.shape, 1), HOLD, np.float32)
    inside = []
    for side in SIDES:
        there = _neighbour(np.ones(hole.shape, bool), side)
        own, own_is = _step_at(source, side, known)
        other, other_is = _step_at(_neighbour(source, side), (-side[0], -side[1]), known)
        other_is &= _neighbour(hole, side)
        own_step, other_step = colors[own] - copied, _neighbour(copied, side) - colors[other]
        votes = own_is.astype(np.float32) + other_is
        step = (own_is[..., None] * own_step + other_is[..., None] * other_step) / np.maximum(votes, 1)[..., None]
        wanted -= there[..., None] * step
        degree += there[..., None]
        inside.append((side, there[..., None].astype(np.float32)))
    free = hole[..., None].astype(np.float32)

    def apply(values: Colors) -> Colors:
        return free * (degree * values - sum(there * _neighbour(values, side) for side, there in inside))

    solution, residual = copied.copy(), free * wanted - apply(copied)
    direction, energy = residual, np.square(residual).sum((0, 1))
    for _ in range(ITERATIONS):
        image_of_direction = apply(direction)
        step_size = energy / np.maximum((direction * image_of_direction).sum((0, 1)), 1e-12)
        solution = solution + step_size * direction
        residual = residual - step_size * image_of_direction
        previous, energy = energy, np.square(residual).sum((0, 1))
        direction = residual + energy / np.maximum(previous, 1e-12) * direction
    return solution


def _neighbour(values: NDArray, side: tuple[int, int]) -> NDArray:
    """What each pixel's neighbour on that side has, 0 beyond the picture."""
    moved = np.zeros_like(values)
    into = tuple(slice(max(-step, 0), size - max(step, 0)) for step, size in zip(side, values.shape, strict=False))
    out_of = tuple(slice(max(step, 0), size - max(-step, 0)) for step, size in zip(side, values.shape, strict=False))
    moved[into] = values[out_of]
    return moved


def _step_at(source: NDArray, side: tuple[int, int], known: Mask) -> tuple[NDArray, Mask]:
    """The pixel beside each pixel's source on that side, and whether it is a known one."""
    height, width = known.shape
    y, x = source // width + side[0], source % width + side[1]
    inside = (y >= 0) & (x >= 0) & (y < height) & (x < width)
    place = np.where(inside, y * width + x, 0)
    return place, inside & known.reshape(-1)[place]


def _tinted(moved: Colors, smooth: Colors, hole: Mask) -> Colors:
    """The moved picture with low frequencies of the smooth one: the nearer to the rim, the higher they reach."""
    share = hole.astype(np.float32)
    difference = (smooth - moved) * share[..., None]
    octave = np.log2(np.maximum(PER_DEPTH * _distance(hole) / FINEST, 1)).clip(max=OCTAVES - 1)
    tint = np.zeros_like(moved)
    for number in range(int(np.ceil(octave.max())) + 1):
        low = _blurred(difference, number) / np.maximum(_blurred(share, number), 1e-3)[..., None]
        tint += (share * np.maximum(1 - abs(octave - number), 0))[..., None] * low
    size = np.abs(tint).max(2, keepdims=True)
    return moved + tint / (1 + (size / TINT) ** 2)


def _blurred(values: Colors, octave: int) -> Colors:
    """Blurred by FINEST pixels in a picture so many times halved."""
    height, width = values.shape[:2]
    small = -(-width // 2**octave), -(-height // 2**octave)
    blurred = cv2.GaussianBlur(cv2.resize(values, small, interpolation=cv2.INTER_AREA), (0, 0), FINEST)
    return cv2.resize(blurred, (width, height), interpolation=cv2.INTER_LINEAR)
