"""Which faces of a picture are meant."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from deformcli.errors import NothingToDoError, UsageError
from deformcli.faces import FRONTAL, Detector, Face, Square, square_around

from .options import FaceOptions, ViewOptions

TOO_FAR = 25  # degrees, as `Face.yaw` guesses them: beside a face turned further too much would have to change
SMALL = 24  # pixels from brow to chin: of less, the network sees a blob


def check(faces: FaceOptions, view: ViewOptions, output: str | None) -> None:
    """Raise UsageError for options that make no sense, whatever the pictures."""
    if not re.fullmatch(r"largest|all|[1-9]\d*", faces.face):
        raise UsageError(f"--face {faces.face}: no such choice", "use largest, all or a number from 1")
    if faces.box and not re.fullmatch(r"-?\d+,-?\d+,[1-9]\d*,[1-9]\d*", faces.box):
        raise UsageError(f"--box {faces.box}: not a box", "write it as x,y,w,h in pixels")
    if faces.aligned and (faces.box or view.paste):
        raise UsageError("--aligned: the whole picture is the face", "leave out --box and --paste")
    if output == "-" and faces.face == "all" and not view.paste:
        raise UsageError("several faces do not fit into stdout", "choose a folder with -o, one --face, or --paste")


class Chosen(NamedTuple):
    """The faces meant in a picture."""

    squares: Sequence[Square | None]
    """What shows them; None is the whole picture."""
    notes: Sequence[str]
    """Which others were meant and stay as they are, and why; which of these are small."""


def chosen(rgb: np.ndarray, options: FaceOptions, detector: Detector | None, *, paste: bool) -> Chosen:
    """The faces meant in a picture (H, W, 3) uint8: those that the detector finds, or the one that is known.

    Raises NothingToDoError as `choose` and `face_at`.
    """
    if detector is not None:
        faces, notes = choose(detector.find(rgb), options.face, paste=paste, min_face=options.min_face)
        return Chosen([square_around(face) for face in faces], notes)
    height, width = rgb.shape[:2]
    known = face_at(options.box, width, height) if options.box else Face(0, 0, width, height, 1.0)
    _, notes = choose([known], "largest", paste=False, min_face=options.min_face)
    return Chosen([None if options.aligned else square_around(known)], notes)


def choose(found: Sequence[Face], which: str, *, paste: bool, min_face: int = 0) -> tuple[list[Face], list[str]]:
    """The faces meant among those found, largest first; and in words which of them are small, which others stay.

    Args:
        found: largest first.
        which: largest, all, or a number from 1.
        paste: they are to be put back into the picture, so that those from the front stay as they are.
        min_face: pixels from brow to chin; smaller ones stay as they are.

    Raises:
        NothingToDoError: there is none.
    """
    if not found:
        remedy = (
            "turn the photo upright, use one with a larger or less turned face, name its --box, try --detector yunet, "
            "or see README"
        )
        raise NothingToDoError("no face found", remedy)
    if which.isdecimal() and int(which) > len(found):
        raise NothingToDoError(f"no face {which}, {len(found)} found", "see them with --dry-run")
    numbers = range(1, len(found) + 1) if which == "all" else [1 if which == "largest" else int(which)]
    kept, notes, unfit = [], [], []
    for number in numbers:
        face = found[number - 1]
        about, stays = f"face {number}, {face}", ""
        if error := _unfit(face, paste=paste, min_face=min_face):
            unfit.append(error)
            stays = error.cause
        elif paste and abs(face.yaw or 0) < FRONTAL:
            stays = "it looks ahead already"
        else:
            kept.append(face)
        if stays:
            notes.append(f"{about}, stays as it is: {stays}")
        elif face.size < SMALL:
            notes.append(f"{about}, has {face.size:.0f} pixels from brow to chin, too few to show much")
    if len(unfit) == len(numbers):
        raise unfit[0]
    return kept, notes


def _unfit(face: Face, *, paste: bool, min_face: int) -> NothingToDoError | None:
    """Why nothing can be made of a face."""
    if face.size < min_face:
        cause = f"the face has {face.size:.0f} pixels from brow to chin, less than --min-face {min_face}"
        return NothingToDoError(cause, "use a larger picture, or a smaller --min-face")
    if paste and abs(face.yaw or 0) > TOO_FAR:
        return NothingToDoError("the face is turned too far to be pasted back", "leave out --paste")
    return None


def face_at(box: str, width: int, height: int) -> Face:
    """The face in a box "x,y,w,h" that `check` has let pass.

    It may reach beyond the picture, whose edge goes on there. Raises NothingToDoError if most of it does.
    """
    x, y, wide, high = map(float, box.split(","))
    inside = (min(x + wide, width) - max(x, 0), min(y + high, height) - max(y, 0))
    if min(inside) <= 0 or 2 * inside[0] * inside[1] < wide * high:
        cause = f"--box {box}: most of it lies outside the picture of {width} x {height} pixels"
        raise NothingToDoError(cause, "write x,y,w,h in pixels from the picture's upper left corner")
    return Face(x, y, x + wide, y + high, 1.0)
