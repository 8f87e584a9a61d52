"""Which faces of a picture are meant."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from deformcli.errors import NothingToDoError, UsageError
from deformcli.faces import FRONTAL, Detector, Face, Square, square_around

from .options import FaceOptions, ViewOptions

TOO_FAR = 25  # degrees, as `Face.yaw` guesses them: beside a face turned further too much would have to change


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


def choose(found: Sequence[Face], which: str, *, paste: bool) -> list[Face]:
    """The faces meant among those found, largest first.

    Args:
        found: largest first.
        which: largest, all, or a number from 1.
        paste: they are to be put back into the picture, so that those from the front stay as they are.

    Raises:
        NothingToDoError: there is none.
    """
    if not found:
        remedy = "use a picture with a larger or less turned face, name its --box, try --detector yunet, or see README"
        raise NothingToDoError("no face found", remedy)
    if which.isdecimal() and int(which) > len(found):
        raise NothingToDoError(f"no face {which}, {len(found)} found", "see them with --dry-run")
    faces = list(found) if which == "all" else [found[0 if which == "largest" else int(which) - 1]]
    if not paste:
        return faces
    near = [face for face in faces if abs(face.yaw or 0) <= TOO_FAR]
    if not near:
        raise NothingToDoError("the face is turned too far to be pasted back", "leave out --paste")
    return [face for face in near if abs(face.yaw or 0) >= FRONTAL]


def squares(
    rgb: np.ndarray, options: FaceOptions, detector: Detector | None, *, paste: bool
) -> Sequence[Square | None]:
    """What shows the chosen faces of a picture (H, W, 3) uint8, None being the whole picture; raises as `choose`."""
    if detector is None:
        return [square_around(face_at(options.box)) if options.box else None]
    return [square_around(face) for face in choose(detector.find(rgb), options.face, paste=paste)]


def face_at(box: str) -> Face:
    """The face in a box "x,y,w,h" that `check` has let pass."""
    x, y, width, height = map(float, box.split(","))
    return Face(x, y, x + width, y + height, 1.0)
