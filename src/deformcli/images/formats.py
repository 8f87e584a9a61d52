"""Which picture files there are, by suffix. Light: imports no Pillow."""

from __future__ import annotations

from deformcli.errors import UsageError

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


READABLE = (*WRITABLE, ".gif", ".ppm", ".pgm", ".pbm", ".heic", ".heif", ".hif", ".jxl")
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
