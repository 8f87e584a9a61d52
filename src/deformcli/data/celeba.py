"""CelebA: aligned photos of celebrities, in torchvision's layout, as a bare folder, or in the zip as it came."""

from __future__ import annotations

import re
from pathlib import Path

from deformcli.errors import UsageError

from .files import list_place, open_place
from .sources import Pictures
from .splits import check_protocol, split_in_tenths

PROTOCOLS = ("official", "thesis")
PARTITION = {"0": "train", "1": "validation", "2": "test"}
PLACES = ("", "img_align_celeba", "celeba/img_align_celeba", "img_align_celeba.zip", "celeba/img_align_celeba.zip")
SOURCE = (
    "get img_align_celeba.zip and list_eval_partition.txt from mmlab.ie.cuhk.edu.hk/projects/CelebA.html (licence: "
    "non-commercial research), and name the folder that has them, or its parent, the zip as it is or unpacked"
)
FIRST_TO_VALIDATE, FIRST_TO_TEST = 162_771, 182_638  # numbers of pictures in the official split


def open_celeba(root: str, split: str, *, protocol: str = "official") -> Pictures:
    """Pictures of a split, with identities where `identity_CelebA.txt` lies beside them.

    Protocols: "official" is `list_eval_partition.txt`, or the same by the pictures' numbers if it is not there;
    "thesis" is a random 70 to 30 (of the 70, 10 validate), by person where identities are known.

    Raises:
        UsageError: no such protocol, nothing there, or an empty split.
    """
    check_protocol("celeba", protocol, PROTOCOLS)
    place, names = _find(Path(root))
    partition, identities = (_table(place, name) for name in ("list_eval_partition.txt", "identity_CelebA.txt"))

    def side(name: str) -> str:
        if protocol == "thesis":
            return split_in_tenths(identities.get(Path(name).name, Path(name).stem), 3)
        return PARTITION.get(partition.get(Path(name).name, _official(name)), "")

    kept = [name for name in names if side(name) == split]
    if not kept:
        raise UsageError(f"{root}: no picture of CelebA's {split} split", SOURCE)
    return open_place(place, kept, [identities.get(Path(name).name, "") for name in kept])


def _find(root: Path) -> tuple[Path, list[str]]:
    """The folder or zip of the pictures, and their names in it."""
    for place in (root / name for name in PLACES):
        names = [name for name in list_place(place) if re.search(r"(^|/)\d{6}\.(jpg|png)$", name)]
        if names:
            return place, names
    raise UsageError(f"{root}: no CelebA there", SOURCE)


def _table(place: Path, name: str) -> dict[str, str]:
    """The two columns of a text file beside or in the pictures' place; empty if there is none."""
    for path in (place.parent / name, place / name):
        if path.is_file():
            lines = (line.split() for line in path.read_text().splitlines())
            return {columns[0]: columns[1] for columns in lines if len(columns) == 2}
    return {}


def _official(name: str) -> str:
    number = int(Path(name).stem)
    return "0" if number < FIRST_TO_VALIDATE else "1" if number < FIRST_TO_TEST else "2"
