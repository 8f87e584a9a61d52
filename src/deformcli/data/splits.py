"""Which items train and which test: decided by name alone, so that the split survives any copy or order of the data."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import PurePath

from deformcli.errors import UsageError


def person(path: str | PurePath) -> str:
    """The file name without the take after a person's number: `001_03.jpg` -> `001.jpg`.

    A number after a word (`IMG_0001.jpg`) is no take. What ends in a plus is a folder's name, as `deform synthesize
    photos` writes it (`neutral+001_03.jpg` -> `001.jpg`).
    """
    return re.sub(r"^(\d+)_\d+(?=\.\w+$)", r"\1", PurePath(path).name.rpartition("+")[2])


def is_held_out(path: str | PurePath) -> bool:
    """Whether the person in this file belongs to the test split, one in ten: sha1 of `person` is 1 modulo 10."""
    return is_in_tenths(person(path), 1)


def is_in_tenths(name: str, tenths: int) -> bool:
    """Whether a name belongs to a test split of so many tenths of all names: its sha1 is 1 to `tenths` modulo 10."""
    return 1 <= int(hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest(), 16) % 10 <= tenths


def check_protocol(kind: str, protocol: str, known: Sequence[str]) -> None:
    """Raise UsageError unless a data set's split is one that is known."""
    if protocol not in known:
        raise UsageError(f"{kind}: no protocol {protocol!r}", f"protocols are: {', '.join(known)}")
