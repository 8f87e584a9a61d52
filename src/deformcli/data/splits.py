"""Which items train, which choose the best weights and which test: decided by names alone, which survive any copy."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import PurePath

from deformcli.errors import UsageError

SPLITS = ("train", "validation", "test")


def person(path: str | PurePath) -> str:
    """The file name without the take after a person's number: `001_03.jpg` -> `001.jpg`.

    A number after a word (`IMG_0001.jpg`) is no take. What ends in a plus is a folder's name, as `deform synthesize
    photos` writes it (`neutral+001_03.jpg` -> `001.jpg`).
    """
    return re.sub(r"^(\d+)_\d+(?=\.\w+$)", r"\1", PurePath(path).name.rpartition("+")[2])


def split_of(path: str | PurePath) -> str:
    """The split of the person in this file: one in ten tests, one in ten validates, the others train."""
    return split_in_tenths(person(path), 1)


def is_held_out(path: str | PurePath) -> bool:
    """Whether the person in this file belongs to the test split."""
    return split_of(path) == "test"


def split_in_tenths(name: str, tenths: int) -> str:
    """The split of a name by its sha1 modulo 10: from 1 on so many `tenths` test, the next one validates."""
    number = int(hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest(), 16) % 10
    return "test" if 1 <= number <= tenths else "validation" if number == tenths + 1 else "train"


def check_protocol(kind: str, protocol: str, known: Sequence[str]) -> None:
    """Raise UsageError unless a data set's split is one that is known."""
    if protocol not in known:
        raise UsageError(f"{kind}: no protocol {protocol!r}", f"protocols are: {', '.join(known)}")
