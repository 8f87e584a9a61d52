"""Holes filled by what the picture knows: coarse to fine, each patch over a hole votes for its likeness elsewhere.

After Wexler et al. (2007), with the search of Barnes et al. (2009) and the peeled start of Newson et al. (2014).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from .patchmatch import NONE, Field, Mask, Picture, Price, inner, search, vote

RADIUS = 3
PATCH = 4 * (2 * RADIUS + 1) ** 2  # numbers in a patch
SMALLEST = 24  # pixels, the shorter side of the coarsest level at least
SHALLOW = 6  # pixels from the rim to the middle of the holes at the coarsest level
STARTS = 3  # of the coarsest levels serve as starts: textures come best from the coarsest, objects from finer ones
TRIES = 2  # from each start; the one whose patches are most alike is refined
TRUST = 1.3  # a patch counts so much less with each pixel from the known ones
ROUNDS = 3  # of search and vote at the finest level, two more at each coarser one
LIVELY = 3.0  # weight of the mean gradient beside the colours, by which patches are compared
MANY = 1_000_000  # patches that are searched for at a level, in all rounds, unless a single one has more
NEARNESS = 15.0  # grey levels: so much unlike a patch may be that comes from the rim, against one from the farthest end

Weight = NDArray[np.float32]


class Level(NamedTuple):
    """A picture (H, W, 4) at some size, which of its pixels are known, and where patches lie."""

    image: Picture
    known: Mask
    wanted: Mask  # centres of the patches over a hole
    price: Price  # of the others


def patch_fill(
    image: NDArray[np.uint8],
    known: Mask,
    genuine: Mask | None = None,
    guess: NDArray[np.uint8] | None = None,
    *,
    seed: int = 0,
) -> tuple[NDArray[np.uint8], Field]:
    """Fill the holes of a picture (H, W, 3) uint8, where `known` (H, W) is False.

    Args:
        genuine: the known pixels that patches may be of; None: all.
        guess: (H, W, 3), what the holes may look like, seen from afar: half of the tries start from it.

    Returns:
        image: (H, W, 3), with the mean of what the patches vote for.
        field: (H, W) int32, of each hole's pixel the known one, as an index into H * W, that the patch over it which
            fits best has there; NONE where known, and everywhere in a picture that has no patch without a hole.
    """
    genuine = known if genuine is None else known & genuine
    image = np.where(known[..., None], image, 0).astype(np.uint8)
    lively = _liveliness(image, known)
    levels = _pyramid(np.dstack([image, lively]), known, genuine)
    last = len(levels) - 1
    first = range(max(min(last, 1), last - STARTS + 1), last + 1)
    trial = max(first[0] - 1, 0)
    guesses = _guesses(guess, lively, levels)
    starts = [
        (start, seed + 7777 * number, guesses[start] if number % 2 else None)
        for start in first
        for number in range(TRIES)
    ]
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        tries = list(pool.map(lambda made: _State(levels, *made).refine(trial, threads=1), starts))
    best = min(tries, key=lambda state: state.unlikeness).refine(0)
    return best.filled[..., :3], best.picked


class _State:
    """A fill on its way from coarse to fine: what is filled, by which field."""

    def __init__(self, levels: list[Level], start: int, seed: int, guess: Picture | None) -> None:
        self.levels, self.depth, self.seed = levels, start + 1, seed
        self.weight: Weight = np.ones(levels[start].known.shape, np.float32)
        if guess is None:
            self.filled, self.field = _peeled(levels[start], seed)
        else:
            self.filled, self.field = guess, np.full(guess.shape[:2], NONE, np.int32)

    def refine(self, depth: int, threads: int = 0) -> _State:
        """Go on to the end of the level `depth`."""
        while self.depth > depth:
            self.depth -= 1
            level = self.levels[self.depth]
            if self.field.shape != level.known.shape:
                self.filled, self.field = _finer(level, self.field, self.weight)
            rounds = min(ROUNDS + 2 * self.depth, max(1, MANY // max(int(level.wanted.sum()), 1)))
            for number in range(rounds):
                passes = 12 if (self.field == NONE).all() else 4 if rounds > 1 else 2
                self.field, cost = search(
                    self.filled,
                    level.wanted,
                    level.price,
                    self.field,
                    radius=RADIUS,
                    passes=passes,
                    seed=self.seed + 1000 * self.depth + 10 * number,
                    threads=threads,
                )
                self.weight = _weights(level, cost)
                self.filled, self.picked = vote(
                    self.filled, level.known, self.field, self.weight, radius=RADIUS, threads=threads
                )
            self.unlikeness = float(np.sqrt(cost[level.wanted]).mean()) if level.wanted.any() else 0.0
        return self


def _liveliness(image: NDArray[np.uint8], known: Mask) -> NDArray[np.uint8]:
    """The mean gradient around each pixel: what is blurred shall not look like what is not (Newson et al. 2014)."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    steps, count = np.zeros_like(grey), np.zeros_like(grey)
    for axis in (0, 1):
        there = np.take(known, range(1, known.shape[axis]), axis) & np.take(known, range(known.shape[axis] - 1), axis)
        place = (slice(1, None), slice(None)) if axis == 0 else (slice(None), slice(1, None))
        steps[place] += np.abs(np.diff(grey, axis=axis)) * there
        count[place] += there
    mean = cv2.boxFilter(steps, -1, (5, 5)) / np.maximum(cv2.boxFilter(count, -1, (5, 5)), 1e-3)
    return (LIVELY * mean).clip(0, 255).astype(np.uint8) * known


def _guesses(guess: NDArray[np.uint8] | None, lively: NDArray[np.uint8], levels: list[Level]) -> list[Picture | None]:
    """The guess at each level, as lively in the holes as what is around them."""
    if guess is None:
        return [None] * len(levels)
    height, width = levels[0].known.shape
    coarser = max(1.0, float(_depth(levels[0].known).max()) / 4)
    small = max(1, round(width / coarser)), max(1, round(height / coarser))
    layers = np.dstack([lively, levels[0].known]).astype(np.float32)
    blurred = cv2.GaussianBlur(cv2.resize(layers, small, interpolation=cv2.INTER_AREA), (0, 0), 2)
    around = cv2.resize(blurred[..., 0] / np.maximum(blurred[..., 1], 1e-6), (width, height)).clip(0, 255)
    at_level: Picture = np.dstack([guess, around.astype(np.uint8)])
    guesses: list[Picture | None] = []
    for level in levels:
        if at_level.shape != level.image.shape:
            at_level, _ = _halved(at_level, np.ones(at_level.shape[:2], bool))
        guesses.append(np.where(level.known[..., None], level.image, at_level))
    return guesses


def _pyramid(image: Picture, known: Mask, genuine: Mask) -> list[Level]:
    """Ever halved, until patches in the middle of the holes see known pixels."""
    levels = [_level(image, known, genuine)]
    while _depth(known).max() > SHALLOW and min(known.shape) >= 2 * SMALLEST:
        (image, known), (_, genuine) = _halved(image, known), _halved(image, genuine)
        if not inner(genuine, RADIUS).any():
            break
        levels.append(_level(image, known, genuine))
    return levels


def _level(image: Picture, known: Mask, genuine: Mask) -> Level:
    away = cv2.distanceTransform(known.astype(np.uint8), cv2.DIST_L2, 5)
    price = PATCH * NEARNESS**2 * away / max(known.shape)
    wanted = inner(np.ones_like(known), RADIUS) & ~inner(known, RADIUS)
    return Level(image, known, wanted, np.where(inner(genuine, RADIUS), price, -1).astype(np.int32))


def _depth(known: Mask) -> NDArray[np.float32]:
    """Distance to the nearest known pixel."""
    return np.asarray(cv2.distanceTransform((~known).astype(np.uint8), cv2.DIST_L2, 5), np.float32)


def _halved(image: Picture, known: Mask) -> tuple[Picture, Mask]:
    """Half the size, rounded down: means of four pixels, known where all of them are."""
    height, width = (side // 2 for side in known.shape)
    quartets = image[: 2 * height, : 2 * width].reshape(height, 2, width, 2, 4)
    whole: Mask = known[: 2 * height, : 2 * width].reshape(height, 2, width, 2).all((1, 3))  # type: ignore[assignment]
    return ((quartets.sum((1, 3), dtype=np.uint16) + 2) // 4).astype(np.uint8), whole


def _weights(level: Level, cost: NDArray[np.int32]) -> Weight:
    typical = max(float(np.quantile(cost[level.wanted], 0.75)), 1.0) if level.wanted.any() else 1.0
    likeness = np.exp(-cost.astype(np.float32) / np.float32(2 * typical))
    return likeness * np.float32(TRUST) ** -_depth(level.known).clip(max=60) + np.float32(1e-20)


def _peeled(level: Level, seed: int) -> tuple[Picture, Field]:
    """The first guess, from the rim inwards: patches are found by what they have of known and of peeled pixels."""
    filled, seen = level.image, level.known
    field, alike = np.full(seen.shape, NONE, np.int32), np.ones(seen.shape, np.float32)
    while not seen.all():
        rim = ~seen & _grown(seen, 1)
        if not rim.any():
            break
        centres = level.wanted & _grown(rim, RADIUS)
        field, _ = search(filled, centres, level.price, field, radius=RADIUS, passes=5, seed=seed, seen=seen, threads=1)
        filled, _ = vote(filled, ~rim, np.where(centres, field, NONE), alike, radius=RADIUS, threads=1)
        seen = seen | rim
    return filled, field


def _grown(mask: Mask, by: int) -> Mask:
    return cv2.dilate(mask.astype(np.uint8), np.ones((2 * by + 1,) * 2, np.uint8)) > 0


def _finer(level: Level, field: Field, weight: Weight) -> tuple[Picture, Field]:
    """The field of half the size, enlarged, and the picture that it votes for."""
    (height, width), (rows, columns) = level.known.shape, field.shape
    y, x = np.nonzero(level.wanted)
    at_y, at_x = (y // 2).clip(RADIUS, rows - 1 - RADIUS), (x // 2).clip(RADIUS, columns - 1 - RADIUS)
    source = field[at_y, at_x]
    to_y, to_x = y + 2 * (source // columns - at_y), x + 2 * (source % columns - at_x)
    inside = (source != NONE) & (to_y >= 0) & (to_x >= 0) & (to_y < height) & (to_x < width)
    place = np.where(inside, to_y * width + to_x, 0)
    finer, finer_weight = np.full(level.known.shape, NONE, np.int32), np.ones(level.known.shape, np.float32)
    finer[y, x] = np.where(inside & (level.price.reshape(-1)[place] >= 0), place, NONE)
    finer_weight[y, x] = weight[at_y, at_x]
    filled, _ = vote(level.image, level.known, finer, finer_weight, radius=RADIUS)
    return filled, finer
