"""Suffixes of picture files, and writing a file so that it is there whole or not at all. Light: imports no Pillow."""

from __future__ import annotations

import os
from pathlib import Path

from .errors import UsageError

WRITABLE = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".bmp": "BMP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".avif": "AVIF",
}
"""Suffix -> format of pictures that can be written."""
READABLE = (*WRITABLE, ".gif", ".ppm", ".pgm", ".pbm")
"""Suffixes of the pictures that a folder is searched for."""
MAX_PIXELS = 178_956_970
"""The default of `--max-pixels`: 512 MiB of RGB, where Pillow by itself refuses too."""


def picture_format(suffix: str) -> str:
    """The picture format that a suffix stands for.

    Raises:
        UsageError: none that can be written.
    """
    if suffix.lower() not in WRITABLE:
        raise UsageError(f"no picture format has the suffix {suffix!r}", f"use one of {' '.join(WRITABLE)}")
    return WRITABLE[suffix.lower()]


def write_atomic(path: Path, data: bytes) -> None:
    """Write `data` beside `path` and rename it into place; the folder is made. A failure leaves no file behind.

    Raises:
        OSError: the folder or the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = beside(path)
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def beside(path: Path) -> Path:
    """A new name in the folder of `path`, to write to first: hidden, ending in .part, no longer than names may be."""
    return path.with_name(f".{os.urandom(8).hex()}.part")
