"""What is to be filled: from files, the picture's transparency, a colour painted into it, or a box."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from deformcli.errors import NothingToDoError, UsageError
from deformcli.images import MAX_PIXELS, READABLE, Picture, mask_weights, read_image, to_depth

from .options import MaskOptions

FAINT = 8  # of 255: weights so near to none or to all are meant as such, and are the file's compression
NEAR = 60  # of 255, in each channel: what counts as the colour that was painted
LOSSY, BLEED = ("JPEG", "WEBP", "AVIF"), 2  # pixels by which such files spread a painted colour


class Mask(NamedTuple):
    """What is to be filled of a picture."""

    weights: np.ndarray
    """(H, W) uint8, writable: 0 = nothing of the pixel, 255 = all."""
    name: str
    """What errors call it."""
    remedy: str
    """What to do where it marks nothing, or everything."""
    notes: Sequence[str] = ()
    """What was made of it, where that is not plain."""

    @classmethod
    def painted(cls, weights: np.ndarray, name: str, notes: Sequence[str] = ()) -> Mask:
        """A mask that is a picture."""
        return cls(weights, name, "paint white what to fill and only that, or invert the mask", notes)


def check(options: MaskOptions) -> None:
    """Raise UsageError if no picture can have such a mask."""
    kind, _, value = options.mask.partition(":")
    if kind == "color":
        _color(value)
    elif kind == "box":
        _box(value)
    elif options.mask != "alpha" and not Path(options.mask).exists():
        remedy = "give a file, a folder, alpha, color:#rrggbb or box:x,y,w,h"
        raise UsageError(f"no such mask: {options.mask}", remedy)


def fill_weights(
    picture: Picture, source: Path, options: MaskOptions, *, max_pixels: int = MAX_PIXELS
) -> tuple[np.ndarray, list[str]]:
    """How much of each pixel of the picture is to be replaced, and what should be told of the mask.

    Weights are (H, W) uint8, 0 = nothing of the pixel, 255 = all.

    Raises:
        UsageError: no mask or no single one, unreadable, of another size, or nothing is left to fill from.
        NothingToDoError: nothing is to be filled.
    """
    mask = _given(picture, source, options, max_pixels)
    return finished(mask, options), [f"{mask.name}: {note}" for note in mask.notes]


def finished(mask: Mask, options: MaskOptions) -> np.ndarray:
    """A mask's weights (H, W) uint8, turned round and grown as the options say; raises as `fill_weights`."""
    weights = mask.weights
    if options.invert_mask:
        weights = 255 - weights
    if options.mask_dilate:
        weights = _grown(weights, options.mask_dilate)
    weights[weights < FAINT] = 0
    weights[weights > 255 - FAINT] = 255
    if not weights.any():
        raise NothingToDoError(f"{mask.name} marks nothing to fill", mask.remedy)
    if weights.all():
        remedy = mask.remedy + ", or use a smaller --mask-dilate" * bool(options.mask_dilate)
        raise UsageError(f"{mask.name} leaves nothing to fill from", remedy)
    return weights


def blend(filled: np.ndarray, pixels: np.ndarray, weights: np.ndarray) -> None:
    """Put what stays of `pixels` (H, W, 3) into `filled`, in place, where `weights` (H, W) are neither 0 nor 255."""
    soft = (weights > 0) & (weights < 255)
    share = weights[soft][:, None] / 255
    filled[soft] = (filled[soft] * share + pixels[soft] * (1 - share)).round()


def _given(picture: Picture, source: Path, options: MaskOptions, max_pixels: int) -> Mask:
    kind, _, value = options.mask.partition(":")
    if options.mask == "alpha":
        if picture.alpha is None:
            raise UsageError(f"{source} has no transparency", "give a mask file")
        weights, remedy = 255 - to_depth(picture.alpha, np.uint8), "make transparent what to fill and only that"
        return Mask(weights, f"the transparency of {source}", remedy)
    if kind == "color":
        remedy = "name the colour of what to fill, which no more than a part of the picture may have"
        return Mask(_painted(picture, _color(value)), f"the colour {value} in {source}", remedy)
    if kind == "box":
        remedy = "give a box that has a part of the picture's {} x {} pixels in it".format(*picture.size)
        return Mask(_filled_box(picture.size, _box(value)), f"the box {value} in {source}", remedy)
    path = mask_of(source, Path(options.mask), options.mask_suffix)
    name = f"the mask {path}"
    weights, notes = fitted(read_image(path, max_pixels=max_pixels), name, picture, options)
    return Mask.painted(weights, name, notes)


def mask_files(source: Path, options: MaskOptions) -> list[Path]:
    """The file that is the mask of a picture; in a folder also the name by which an output would pass for it."""
    try:
        path = mask_of(source, Path(options.mask), options.mask_suffix)
    except UsageError:
        return []
    return [path, path.with_suffix(source.suffix)] if Path(options.mask).is_dir() else [path] * path.is_file()


def mask_of(source: Path, masks: Path, suffix: str = "") -> Path:
    """The mask of a picture: the file itself, or the one with the picture's stem and the suffix in a folder.

    A folder may have the tree of the pictures: of in/a/b.jpg the mask is masks/a/b.png if that is there, else
    masks/b.png.

    Raises:
        UsageError: the folder has none, or several.
    """
    if not masks.is_dir():
        return masks
    stem, parents = source.stem + suffix, source.parent.parts
    for start in range(len(parents) + 1):
        folder = masks.joinpath(*(part for part in parents[start:] if part not in ("..", source.anchor)))
        found = _pictures(folder).get(stem, [])
        if len(found) == 1:
            return found[0]
        if found:
            raise UsageError(f"{len(found)} masks called {stem} in {folder}", "name one mask like each picture")
    raise UsageError(f"no mask called {stem} in {masks}", "name one mask like each picture, or see --mask-suffix")


def _pictures(folder: Path) -> dict[str, list[Path]]:
    """The pictures in a folder, if it can be read, by stem."""
    try:
        return _listed(folder, folder.stat().st_mtime_ns)
    except OSError:
        return {}


@lru_cache(maxsize=1000)
def _listed(folder: Path, changed: int) -> dict[str, list[Path]]:
    """Once for all pictures, as long as the folder has not `changed` since then."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in READABLE and path.is_file():
            found.setdefault(path.stem, []).append(path)
    return found


def fitted(mask: Picture, name: str, picture: Picture, options: MaskOptions) -> tuple[np.ndarray, tuple[str, ...]]:
    """How white a mask is, (H, W) uint8 of the picture's size, and notes. Raises UsageError if it is of another."""
    (weights, notes), size = mask_weights(mask), picture.size
    if mask.size == size:
        return weights, notes
    if options.mask_fit != "resize":
        have, want = (f"{width} x {height}" for width, height in (mask.size, size))
        remedy = "give a mask of the picture's size, or --mask-fit resize"
        raise UsageError(f"{name} is {have}, the picture is {want}", remedy)
    smaller = mask.size[0] > size[0] and mask.size[1] > size[1]
    return cv2.resize(weights, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR), notes


def _color(value: str) -> np.ndarray:
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", value):
        raise UsageError(f"{value!r} is not a colour", "write it as 'color:#ff00ff'")
    return np.frombuffer(bytes.fromhex(value[1:]), np.uint8)


def _painted(picture: Picture, color: np.ndarray) -> np.ndarray:
    """Pixels of about the colour; in a lossy file also those beside them, which have a tinge of it."""
    near = cv2.inRange(picture.rgb8, color.astype(float) - NEAR, color.astype(float) + NEAR)
    return _grown(near, BLEED) if picture.format in LOSSY else near


def _grown(weights: np.ndarray, pixels: int) -> np.ndarray:
    line = np.ones(2 * min(pixels, max(weights.shape)) + 1, np.uint8)
    return cv2.dilate(cv2.dilate(weights, line[:, None]), line[None])


def _box(value: str) -> tuple[int, int, int, int]:
    if not re.fullmatch(r"-?\d+,-?\d+,\d+,\d+", value):
        raise UsageError(f"{value!r} is not a box", "write it as box:x,y,w,h in pixels")
    x, y, width, height = map(int, value.split(","))
    return x, y, width, height


def _filled_box(size: tuple[int, int], box: tuple[int, int, int, int]) -> np.ndarray:
    weights = np.zeros(size[::-1], np.uint8)
    x, y, width, height = box
    weights[max(y, 0) : max(y + height, 0), max(x, 0) : max(x + width, 0)] = 255
    return weights
