"""What is known of pictures beside what they show: tables that lie with them."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from deformcli.errors import UsageError, one_line

TABLES = ("labels.csv", "fairface_label_train.csv", "fairface_label_val.csv")
FILE = "file"
"""The column of the pictures' names, relative to the table's folder."""


def labels_of(path: Path) -> Mapping[str, str]:
    """Column -> value of the row that a table beside a picture has of it, or one in the folder above; else nothing.

    Raises UsageError if there is a table that cannot be read.
    """
    for folder in path.parents[:2]:
        if row := _rows(folder.absolute()).get(path.relative_to(folder).as_posix()):
            return row
    return {}


@cache
def _rows(folder: Path) -> Mapping[str, Mapping[str, str]]:
    """The rows of a folder's tables, by the picture."""
    rows = {}
    for table in (folder / name for name in TABLES if (folder / name).is_file()):
        try:
            with table.open(newline="", encoding="utf-8-sig") as file:
                read = list(csv.DictReader(file))
            rows |= {row[FILE]: {key: row[key] or "" for key in row if key not in (FILE, None)} for row in read}
        except (OSError, ValueError, KeyError, csv.Error) as error:
            remedy = f"write it as UTF-8, with a column {FILE}: pictures' names as they lie below its folder"
            raise UsageError(f"{table}: no table of labels: {one_line(error)}", remedy) from error
    return rows
