"""Data sets of the Hugging Face Hub, through the `datasets` library, which is an extra: pip install 'deformcli[hf]'."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from deformcli.errors import UsageError, one_line

from .files import decode_picture, read_picture
from .sources import Pictures
from .splits import split_in_tenths


class HfPictures(Pictures):
    """Some rows of a table: the pictures in one of its columns."""

    def __init__(self, title: str, table: Any, column: str, rows: list[int]) -> None:
        self.title, self.table, self.column, self.rows = title, table, column, rows

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, index: int) -> np.ndarray:
        stored = self.table[self.rows[index]][self.column] or {}  # "bytes" of a file, or the "path" of one
        if stored.get("bytes") is None and stored.get("path"):
            return read_picture(Path(stored["path"]))
        return decode_picture(stored.get("bytes") or b"", self.name(index))

    def name(self, index: int) -> str:
        return f"{self.title}[{self.rows[index]}]"


def open_hf(root: str, split: str) -> HfPictures:
    """`org/name@revision`: its first column of pictures, fetched into the library's cache if it is not there.

    The test split is the data set's own, or its validation split, or else every tenth row or so; the validation split
    is its own where that does not test, or else every tenth row or so of the rest.

    Raises:
        UsageError: the library is not installed, no such data set, no way to it, or no pictures in it.
    """
    try:
        import datasets
    except ImportError as error:
        cause = f"hf:{root}: the library `datasets` is not installed"
        raise UsageError(cause, "install it: pip install 'deformcli[hf]'") from error
    name, _, revision = root.partition("@")
    try:
        tables = datasets.load_dataset(name, revision=revision or None)
    except Exception as error:  # of the library, HTTP clients, file systems
        remedy = "check name, revision and network; under HF_HUB_OFFLINE=1 only what was fetched before can be used"
        raise UsageError(f"hf:{root} cannot be opened: {one_line(error)}", remedy) from error
    train = "train" if "train" in tables else next(iter(tables))
    others = [name for name in ("test", "validation") if name in tables]
    place = dict(zip(("test", "validation"), [*others, train, train], strict=False)) | {"train": train}
    table = tables[place[split]]
    column = next((key for key, kind in table.features.items() if isinstance(kind, datasets.Image)), None)
    if column is None:
        raise UsageError(f"hf:{root}: no column of pictures", f"its columns are: {', '.join(table.features)}")
    shared, tested = list(place.values()).count(place[split]) > 1, int(place["test"] == train)
    rows = [row for row in range(len(table)) if not shared or split_in_tenths(str(row), tested) == split]
    if not rows:
        raise UsageError(f"hf:{root}: no picture for the {split} split", "name a data set with more of them")
    return HfPictures(f"hf:{root}", table.cast_column(column, datasets.Image(decode=False)), column, rows)
