"""Any folder of pictures."""

from __future__ import annotations

from pathlib import Path

from deformcli.errors import UsageError

from .files import Files
from .splits import split_of

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")


def picture_files(root: Path) -> list[Path]:
    """All pictures below `root`, sorted, but hidden ones."""
    pictures = (path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    return sorted(path for path in pictures if not path.name.startswith("."))


def open_folder(root: str, split: str) -> Files:
    """All pictures below a folder; which split each is of, its name decides. Raises UsageError if none is there."""
    if not Path(root).is_dir():
        raise UsageError(f"{root}: no such data folder", "name a folder of pictures, as in --data folder:PATH")
    kept = [path for path in picture_files(Path(root)) if split_of(path) == split]
    if not kept:
        raise UsageError(f"{root}: no picture for the {split} split", f"put {', '.join(SUFFIXES)} files there")
    return Files(kept)
