"""Pictures in folders and zips."""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import numpy as np

from deformcli.errors import UsageError, one_line
from deformcli.images import decode_image, to_depth

from .labels import labels_of
from .sources import Pictures


class Files(Pictures):
    """Pictures that are files."""

    def __init__(self, paths: Sequence[Path], identities: Sequence[str] = ()) -> None:
        self.paths, self.identities = paths, identities

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, index: int) -> np.ndarray:
        return read_picture(self.paths[index])

    def name(self, index: int) -> str:
        return str(self.paths[index])

    def identity(self, index: int) -> str:
        return self.identities[index] if self.identities else ""

    def labels(self, index: int) -> Mapping[str, str]:
        return labels_of(self.paths[index])


class Zipped(Pictures):
    """Pictures in a zip, which is not unpacked."""

    def __init__(self, archive: Path, members: Sequence[str], identities: Sequence[str] = ()) -> None:
        self.path, self.members, self.identities = archive, members, identities
        self.opened: tuple[int, ZipFile] | None = None

    def __len__(self) -> int:
        return len(self.members)

    def read(self, index: int) -> np.ndarray:
        if self.opened is None or self.opened[0] != os.getpid():  # a process may not share its parent's place in a file
            self.opened = os.getpid(), ZipFile(self.path)
        try:
            return decode_picture(self.opened[1].read(self.members[index]), self.name(index))
        except (BadZipFile, KeyError, OSError, RuntimeError, zlib.error) as error:
            remedy = "get a whole copy of the zip"
            raise UsageError(f"{self.name(index)} cannot be read: {one_line(error)}", remedy) from error

    def name(self, index: int) -> str:
        return f"{self.path}/{self.members[index]}"

    def identity(self, index: int) -> str:
        return self.identities[index] if self.identities else ""

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "opened": None}


def list_place(place: Path, below: str = "") -> list[str]:
    """Names of the files in a zip, or of those in a folder (with `below`: all below that folder in it); sorted."""
    if place.is_dir():
        files = (place / below).rglob("*") if below else place.iterdir()
        return sorted(path.relative_to(place).as_posix() for path in files)
    if not place.is_file():
        return []
    try:
        with ZipFile(place) as archive:
            return sorted(archive.namelist())
    except (BadZipFile, OSError) as error:
        raise UsageError(f"{place} cannot be opened: {one_line(error)}", "get a whole copy of it") from error


def open_place(place: Path, names: Sequence[str], identities: Sequence[str]) -> Pictures:
    """The named pictures of a folder or zip."""
    return Files([place / name for name in names], identities) if place.is_dir() else Zipped(place, names, identities)


def read_picture(path: Path) -> np.ndarray:
    """A picture file as `Pictures.read` has it. Raises UsageError naming the file."""
    try:
        return decode_picture(path.read_bytes(), str(path))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", "repair it or remove it from the data") from error


def decode_picture(data: bytes, name: str) -> np.ndarray:
    """The picture in a file's bytes, the first if there are several, as `Pictures.read` has it.

    Raises UsageError with the name.
    """
    try:
        picture = decode_image(data, name, frame=1)
    except UsageError as error:
        raise UsageError(error.cause, "repair it or remove it from the data") from error
    alpha = None if picture.alpha is None else to_depth(picture.alpha, np.uint8)
    return picture.rgb8 if alpha is None or (alpha == 255).all() else np.dstack([picture.rgb8, alpha])
