"""`--masks`: what hides pixels. Strokes, objects or text drawn on the spot, or the masks of QD-IMD or of any folder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from deformcli.errors import UsageError
from deformcli.images import mask_known, read_image

from .files import Files
from .folder import picture_files
from .sources import Mixture, Source

WIDTHS = {"thin": (1, 3), "thick": (6, 14)}
HOLES = (0.04, 0.14)
SIDES = (0.1, 0.4)
"""Of the picture's side: that of an object."""
GLYPHS = (0.06, 0.16)
"""Of the picture's side: the height of a line of text."""
FONTS = (cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_TRIPLEX, cv2.FONT_HERSHEY_COMPLEX, cv2.FONT_HERSHEY_SIMPLEX)
QD_IMD = "get it from github.com/karfly/qd-imd (MIT), so that ROOT/train/*.png and ROOT/test/*.png are there"


class Masks(ABC):
    """One kind of masks; `name` is its row in tables."""

    name: str

    @abstractmethod
    def draw(self, rng: np.random.Generator, size: int) -> NDArray[np.uint8]:
        """A known-mask (size, size), 1 = known, 0 = hole."""


class Strokes(Masks):
    """Brush strokes; see `stroke_known`."""

    def __init__(self, kind: str, holes: tuple[float, float] = HOLES) -> None:
        self.name, self.holes = kind, holes

    def draw(self, rng: np.random.Generator, size: int) -> NDArray[np.uint8]:
        return stroke_known(rng, size, self.name, self.holes)


class Objects(Masks):
    """Blobs and boxes; see `object_known`."""

    name = "objects"

    def draw(self, rng: np.random.Generator, size: int) -> NDArray[np.uint8]:
        return object_known(rng, size)


class Text(Masks):
    """Lines of glyphs; see `text_known`."""

    name = "text"

    def draw(self, rng: np.random.Generator, size: int) -> NDArray[np.uint8]:
        return text_known(rng, size)


DRAWN: dict[str, type[Masks]] = {"objects": Objects, "text": Text}


class MaskFiles(Masks):
    """Mask files, one at random, its largest centred square: white = hole, or the other way round if `inverted`."""

    def __init__(self, name: str, paths: Sequence[Path], inverted: bool = False) -> None:
        self.name, self.paths, self.inverted = name, paths, inverted
        self.mixture = Mixture([Source(name, Files(paths))], [Files(paths)])

    def draw(self, rng: np.random.Generator, size: int) -> NDArray[np.uint8]:
        known = self.mixture.read(*self.mixture.draw(rng), self._read)
        side = min(known.shape)
        top, left = (known.shape[0] - side) // 2, (known.shape[1] - side) // 2
        square = known[top : top + side, left : left + side].astype(np.float32)
        return (cv2.resize(square, (size, size), interpolation=cv2.INTER_AREA) > 0.5).astype(np.uint8)

    def _read(self, index: int) -> NDArray[np.bool_]:
        return mask_known(read_image(self.paths[index]), invert=self.inverted)


def open_masks(specs: Sequence[str], split: str) -> list[Masks]:
    """The kinds of masks that `--masks` names, for a split ("train", "validation", "test").

    "strokes" stands for "strokes:thin" and "strokes:thick"; "?holes=0.1-0.2" after it sets the least share of holes.

    Raises:
        UsageError: no such kind, or no masks there.
    """
    return [masks for spec in specs for masks in _open(spec, split)]


def mask_names(specs: Sequence[str]) -> list[str]:
    """The names of what `open_masks` opens, without looking for files."""
    return [name for spec in specs for name in _names(spec)]


def _names(spec: str) -> list[str]:
    kind, _, rest = spec.partition("?")[0].partition(":")
    if kind == "strokes":
        return [rest] if rest else list(WIDTHS)
    return [kind if kind in ("qd-imd", *DRAWN) else Path(rest).name]


def _open(spec: str, split: str) -> list[Masks]:
    place, _, options = spec.partition("?")
    kind, _, root = place.partition(":")
    if kind == "strokes" and (not root or root in WIDTHS):
        return [Strokes(name, _holes(spec, options)) for name in _names(spec)]
    if spec in DRAWN:
        return [DRAWN[spec]()]
    if kind == "qd-imd" and root:
        return [
            MaskFiles(kind, _mask_files(Path(root) / ("test" if split == "test" else "train"), QD_IMD), inverted=True)
        ]
    if kind == "folder" and root:
        return [MaskFiles(Path(root).name, _mask_files(Path(root), "name a folder of masks, white where to fill"))]
    drawn = ["strokes", *(f"strokes:{name}" for name in WIDTHS), *DRAWN]
    remedy = f"use {', '.join(drawn)}, qd-imd:ROOT or folder:PATH"
    raise UsageError(f"--masks {spec}: no such masks", remedy)


def _mask_files(folder: Path, remedy: str) -> list[Path]:
    if not (files := picture_files(folder)):
        raise UsageError(f"{folder}: no masks there", remedy)
    return files


def _holes(spec: str, options: str) -> tuple[float, float]:
    if not options:
        return HOLES
    try:
        key, _, value = options.partition("=")
        least, _, most = value.partition("-")
        holes = float(least), float(most or least)
    except ValueError:
        key, holes = "", (0.0, 0.0)
    if key != "holes" or not 0 < holes[0] <= holes[1] <= 0.9:
        raise UsageError(f"--masks {spec}: {options} is no share of holes", "write for example strokes?holes=0.1-0.2")
    return holes


def stroke_known(
    rng: np.random.Generator, size: int, kind: str, holes: tuple[float, float] = HOLES
) -> NDArray[np.uint8]:
    """A known-mask (size, size), 1 = known, 0 = hole: strokes of one uniformly chosen width per mask.

    After the description of QD-IMD in the thesis (section 4.2.1): every stroke is a wandering line inside a box of
    uniformly chosen side. `kind` is a key of WIDTHS, whose widths are for 128 pixels and grow with `size`. Strokes are
    drawn until their share of the picture reaches a number drawn from the interval `holes`; the last one may go
    beyond: by the default about 4 to 16 % of a thin mask are holes, 4 to 28 % of a thick one.
    """
    scale = size / 128
    width = max(1, round(int(rng.integers(WIDTHS[kind][0], WIDTHS[kind][1] + 1)) * scale))
    known = np.ones((size, size), np.uint8)
    goal = rng.uniform(*holes) * size * size
    while size * size - int(known.sum()) < goal:
        cv2.polylines(known, [_stroke(rng, size)], False, 0, width)
    return known


def _stroke(rng: np.random.Generator, size: int) -> NDArray[np.int32]:
    """Points of one stroke: a walk with slowly changing heading, fitted into a random box, which may stick out."""
    heading = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.5, 16))
    points = np.cumsum(np.stack([np.cos(heading), np.sin(heading)], 1), 0)
    points = (points - points.min(0)) / max(float(np.ptp(points, axis=0).max()), 1e-6)
    side = rng.uniform(0.15, 0.9) * size
    corner = rng.uniform(-0.2 * size, size - 0.5 * side, 2)
    return (corner + points * side).astype(np.int32)


def object_known(rng: np.random.Generator, size: int) -> NDArray[np.uint8]:
    """A known-mask (size, size) with one hole, a box or a blob, that lies inside: what removing an object leaves.

    Its width and its height are drawn from SIDES.
    """
    known = np.ones((size, size), np.uint8)
    width, height = np.maximum(rng.uniform(*SIDES, 2) * size, 1).round().astype(int)
    left, top = rng.integers(0, size - width + 1), rng.integers(0, size - height + 1)
    if rng.random() < 0.5:
        known[top : top + height, left : left + width] = 0
        return known
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    waves = sum(rng.normal(0, 0.25 / k) * np.cos(k * angle + rng.uniform(0, 2 * np.pi)) for k in (1, 2, 3, 4))
    points = np.exp(waves)[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    points = (points - points.min(0)) / np.ptp(points, axis=0)
    cv2.fillPoly(known, [(np.array([left, top]) + points * [width - 1, height - 1]).round().astype(np.int32)], 0)
    return known


def text_known(rng: np.random.Generator, size: int) -> NDArray[np.uint8]:
    """A known-mask (size, size) with one to three lines of capital letters and digits for holes: watermarks, captions.

    The height of the letters is drawn from GLYPHS, their weight is a tenth to a quarter of it.
    """
    known = np.ones((size, size), np.uint8)
    font, height = FONTS[rng.integers(len(FONTS))], rng.uniform(*GLYPHS) * size
    weight = max(1, round(height * rng.uniform(0.1, 0.25)))
    scale = cv2.getFontScaleFromHeight(font, max(round(height), 2), weight)
    lines = int(rng.integers(1, 4))
    top = rng.uniform(0, max(size - 1.5 * lines * height, 1))
    for line in range(lines):
        letters = "".join(chr(c) for c in rng.choice([*range(48, 58), *range(65, 91)], int(rng.integers(4, 16))))
        start = round(rng.uniform(0, 0.3 * size)), round(top + (1.5 * line + 1) * height)
        cv2.putText(known, letters, start, font, scale, 0, weight)
    return known
