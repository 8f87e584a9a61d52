"""Which items train and which test: decided by name alone, so that the split survives any copy or order of the data."""

from __future__ import annotations

import hashlib
import re
from pathlib import PurePath


def is_held_out(path: str | PurePath) -> bool:
    """Whether the person in this file belongs to the test split: sha1 of the file name is 1 modulo 10.

    A take number (`001_03.jpg`) is dropped first, so that all pictures of a person fall on the same side.
    """
    name = re.sub(r"_\d+(?=\.\w+$)", "", PurePath(path).name)
    return int(hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest(), 16) % 10 == 1
