"""Which files the page may read, and the one folder that it may write into."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from deformcli.batch import check_writable
from deformcli.errors import NothingToDoError, UsageError
from deformcli.images import READABLE, WRITABLE, Picture, decode_image, read_image

from .options import FileOptions

BYTES_PER_PIXEL = 8  # of the largest files: 16 bits, four channels, not compressed


@dataclass(frozen=True)
class Files:
    """What was named on the command line."""

    photos: Sequence[Path]
    folder: Path
    """Where results are saved."""
    frame: int | None
    max_pixels: int

    @classmethod
    def of(cls, options: FileOptions) -> Files:
        """Raises UsageError or NothingToDoError: no such photo or folder, or nowhere to write."""
        source = options.source
        photos = [] if source is None else _photos(source)
        beside = Path() if source is None else source if source.is_dir() else source.parent
        folder = options.output or beside
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"{folder} is a file", "name a folder with -o")
        check_writable(folder)
        return cls(photos, folder, options.frame, options.max_pixels)

    @property
    def max_bytes(self) -> int:
        """Of a photo that is dropped into the page."""
        return self.max_pixels * BYTES_PER_PIXEL + 2**20

    def read(self, number: int) -> Picture:
        """The photo of that number; raises UsageError if there is none, or it cannot be read."""
        if not 0 <= number < len(self.photos):
            raise UsageError(f"no photo {number}, {len(self.photos)} were opened", "choose one from the list")
        return read_image(self.photos[number], max_pixels=self.max_pixels, frame=self.frame)

    def decode(self, data: bytes, name: str) -> Picture:
        """The photo in what was dropped; raises UsageError if it is none."""
        return decode_image(data, name, max_pixels=self.max_pixels, frame=self.frame)

    def target(self, name: str) -> Path:
        """Where a file of that name is saved. Raises UsageError unless it is a mere name, and no photo's."""
        if not name.strip(" .") or name.startswith("-") or set(name) & set("/\\:\0\n\r"):
            raise UsageError(f"{name!r} is not the name of a file", "choose a name without / or \\")
        path = self.folder / name
        if path.is_dir():
            raise UsageError(f"{path} is a folder", "choose another name")
        if any(path.resolve() == photo.resolve() for photo in self.photos):
            raise UsageError(f"{path} is an input and would be overwritten", "choose another name")
        return path

    def free_name(self, photo: str, word: str) -> str:
        """A name for what becomes of a photo: its own with a word, and a number where there is such a file already."""
        ending = Path(photo).suffix if Path(photo).suffix.lower() in WRITABLE else ".png"
        stem = f"{Path(photo).stem.lstrip('-') or 'photo'}-{word}"
        names = (f"{stem}{f'-{number}' if number > 1 else ''}{ending}" for number in count(1))
        return next(name for name in names if not (self.folder / name).exists())


def _photos(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise UsageError(f"no such file or folder: {source}", "check the path")
    names = (path for path in sorted(source.iterdir()) if not path.name.startswith("."))
    photos = [path for path in names if path.suffix.lower() in READABLE and path.is_file()]
    if not photos:
        raise NothingToDoError(f"no picture in {source}", "name a folder with pictures in it, or a picture")
    return photos


def shown(path: Path) -> str:
    """The path as a command line in the current folder has it."""
    here = path.absolute()
    near = here.relative_to(Path.cwd()) if here.is_relative_to(Path.cwd()) else here
    return f"./{near}" if str(near).startswith("-") else str(near)
