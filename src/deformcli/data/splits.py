"""Which items train and which test: decided by name alone, so that the split survives any copy or order of the data."""

from __future__ import annotations

import hashlib
import re
from pathlib import PurePath


def is_held_out(path: str | PurePath) -> bool:
    """Whether the person in this file belongs to the test split: sha1 of the file name is 1 modulo 10.

    The take after a person's number (`001_03.jpg`) is dropped first, so that all pictures of a person fall on the same
    side; a number after a word (`IMG_0001.jpg`) is no take.
    """
    name = re.sub(r"^(\d+)_\d+(?=\.\w+$)", r"\1", PurePath(path).name)
    return int(hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest(), 16) % 10 == 1
