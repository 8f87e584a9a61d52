"""The Face Research Lab London Set: 102 people, neutral and smiling, from five sides at once."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

from deformcli.errors import UsageError

from .found import FoundFaces
from .splits import split_of
from .views import View, Views

EXPRESSIONS = ("neutral", "smiling")
SIDES = {"left_profile": -90.0, "left_3quarter": -42.0, "front": 0.0, "right_3quarter": 42.0, "right_profile": 90.0}
"""Folder after the expression -> yaw in degrees; that of three-quarter views is the median of their meshes'."""
NAME = re.compile(r"^(\d{3})_\d{2}\.(jpg|png)$")
SOURCE = (
    "get the Face Research Lab London Set (DeBruine and Jones 2017, CC BY 4.0, doi 10.6084/m9.figshare.5047666) so "
    "that ROOT has neutral_front/001_03.jpg, neutral_left_3quarter/001_02.jpg, smiling_right_profile/001_10.jpg"
)


def open_london(root: str, split: str) -> Views:
    """Pairs of every view, the frontal one too, with the frontal view of the same person and expression.

    Raises:
        UsageError: no pair there for the split.
    """
    views, places = [], []
    for expression, (side, yaw) in product(EXPRESSIONS, SIDES.items()):
        front = _people(Path(root) / f"{expression}_front")
        turned = _people(Path(root) / f"{expression}_{side}")
        places.append(Path(root) / f"{expression}_{side}")
        views += [View(turned[who], front[who], who, yaw) for who in sorted(turned.keys() & front.keys())]
    kept = [view for view in views if split_of(f"{view.person}.jpg") == split]
    if not kept:
        raise UsageError(f"{root}: no view of the London Set with its frontal one for the {split} split", SOURCE)
    return Views(kept, FoundFaces([Path(root), *places]))


def _people(folder: Path) -> dict[str, Path]:
    """Person -> photo."""
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    return {match[1]: path for path in found if (match := NAME.match(path.name))}
