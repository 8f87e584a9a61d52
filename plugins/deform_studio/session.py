"""What a tab opened and painted, and what became of it: results that stay, so that it can go back to any and on."""

from __future__ import annotations

import math
import secrets
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

import cv2
import numpy as np

from deformcli.errors import DeformError, UsageError
from deformcli.faces import Face
from deformcli.images import Picture

MOST = 16  # photos that are open at once; a tab has one
MOST_POINTS = 1_000_000  # of what is painted
SHIFT = 4  # bits behind the point of OpenCV's coordinates
FAR = 1_000_000  # pixels: nobody paints further from a photo


@dataclass(frozen=True, eq=False)
class Step:
    """What one command does to a picture."""

    command: Sequence[str]
    """Without files: ("inpaint", "--mask-dilate", "2")."""
    pixels: np.ndarray
    """(h, w, 3): those that it changes."""
    place: tuple[slice, slice] | None = None
    """Where these are in the picture; None: they are a picture of their own."""
    mask: np.ndarray | None = None
    """(H, W) uint8, 255 = fill."""
    warps: Mapping[str, Picture] = field(default_factory=dict)

    @classmethod
    def between(cls, command: Sequence[str], before: np.ndarray, after: np.ndarray, mask: np.ndarray | None) -> Step:
        """The step from one picture (H, W, 3) to another, of which the box of changed pixels is kept."""
        left, top, width, height = cv2.boundingRect((before != after).any(2).astype(np.uint8))
        place = slice(top, top + height), slice(left, left + width)
        return cls(command, after[place].copy(), place, mask)

    def applied(self, picture: Picture) -> Picture:
        if self.place is None:
            return picture.resized_to(self.pixels)
        rgb = picture.rgb.copy()
        rgb[self.place] = self.pixels
        return picture.replaced(rgb)


class Session:
    """One photo that a tab opened. Result 0 is the photo; results are never changed, so that tabs see no surprise."""

    def __init__(self, name: str, source: str, photo: Picture) -> None:
        self.id = secrets.token_urlsafe(16)
        self.name = name
        self.source = source
        """As command lines name it."""
        self.photo = photo
        self.results: list[tuple[Step, ...]] = [()]
        self.faces: dict[int, Sequence[Face]] = {}
        """Those that were looked for, by result."""
        self.picture = lru_cache(2)(self._picture)  # a result and what it is compared with

    def steps(self, number: int) -> tuple[Step, ...]:
        """How a result came about. Raises UsageError if there is none of that number."""
        if not 0 <= number < len(self.results):
            raise UsageError(f"no result {number} of {self.name}", "reload the page")
        return self.results[number]

    def add(self, number: int, step: Step) -> int:
        """Go on from a result: the number of the new one."""
        self.results.append((*self.steps(number), step))
        return len(self.results) - 1

    def _picture(self, number: int) -> Picture:
        """A result. Raises UsageError if there is none of that number."""
        picture = self.photo
        for step in self.steps(number):
            picture = step.applied(picture)
        return picture

    def masks(self, number: int, target: Path) -> dict[Path, np.ndarray]:
        """The masks (H, W) behind a result that is saved as `target`, beside it."""
        named = zip(_beside(target, "mask", len(self.steps(number))), self.steps(number), strict=True)
        return {path: step.mask for path, step in named if step.mask is not None}

    def lines(self, number: int, target: str, last: Sequence[str] = ()) -> list[str]:
        """The command lines that make the same file, from the photo and the masks; the last has options more."""
        steps, source, lines = self.steps(number), self.source, list[str]()
        outputs = [*_beside(Path(target), "step", len(steps))[:-1], Path(target)][: len(steps)]
        for step, mask, out in zip(steps, _beside(Path(target), "mask", len(steps)), outputs, strict=True):
            named, *more = step.command
            painted = [] if step.mask is None else ["--mask", str(mask)]
            warps = ["--show-warp", str(Path(target).with_name("warps"))] if step.warps else []
            more += last if out == Path(target) else ()
            lines.append(shlex.join(["deform", named, source, *painted, *more, *warps, "-o", str(out)]))
            source = str(out)
        return lines


def _beside(target: Path, word: str, several: int) -> list[Path]:
    """Names of further files that go with a target: photo-mask.png, or photo-mask-1.png and so on."""
    tags = [""] if several == 1 else [f"-{number}" for number in range(1, several + 1)]
    return [target.with_name(f"{target.stem}-{word}{tag}.png") for tag in tags[:several]]


class Closed(DeformError):
    """A photo that is no longer open."""


class Sessions:
    """The photos that tabs have open, each known by an id that cannot be guessed."""

    def __init__(self) -> None:
        self.opened: dict[str, Session] = {}
        self.lock = Lock()

    def open(self, session: Session) -> Session:
        """Keep it; where too many are open, the one that was used least lately is closed."""
        with self.lock:
            self.opened[session.id] = session
            while len(self.opened) > MOST:
                del self.opened[next(iter(self.opened))]
        return session

    def get(self, name: str) -> Session:
        """The session of that id. Raises Closed if there is none."""
        with self.lock:
            if name not in self.opened:
                raise Closed("this photo is no longer open", "open it again; what was saved is there")
            session = self.opened[name] = self.opened.pop(name)  # the last of them
        return session

    def close(self, name: str) -> None:
        with self.lock:
            self.opened.pop(name, None)


def mask_of(strokes: Any, size: tuple[int, int]) -> np.ndarray:
    """The mask (H, W) uint8, 255 = fill, of strokes drawn one after the other.

    Args:
        strokes: [{"radius": pixels, "erase": bool, "points": [[x, y], ...]}, ...], as the page sends them; a pixel's
            centre is at (0.5, 0.5).
        size: width and height.

    Raises:
        UsageError: they are not like that.
    """
    mask = np.zeros(size[::-1], np.uint8)
    try:
        if sum(len(stroke["points"]) for stroke in strokes) > MOST_POINTS:
            raise ValueError("too many points")
        for stroke in strokes:
            _draw(mask, np.array(stroke["points"], float), float(stroke["radius"]), 0 if stroke["erase"] else 255)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise UsageError("what was painted did not arrive whole", "reload the page and paint again") from error
    return mask


def _draw(mask: np.ndarray, points: np.ndarray, radius: float, value: int) -> None:
    """One stroke, its ends round, in place."""
    if points.ndim != 2 or points.shape[1] != 2 or not (abs(points) < FAR).all() or not 0 < radius < 10_000:
        raise ValueError("no stroke")
    fixed = np.round((points - 0.5) * 2**SHIFT).astype(np.int32)
    thickness = max(1, math.ceil(2 * radius))
    for x, y in fixed:
        cv2.circle(mask, (int(x), int(y)), round(radius * 2**SHIFT), value, cv2.FILLED, cv2.LINE_8, SHIFT)
    cv2.polylines(mask, [fixed[:, None]], False, value, thickness, cv2.LINE_8, SHIFT)
