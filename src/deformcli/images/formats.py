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


ANIMATED = ("GIF", "PNG", "WEBP", "AVIF")
"""Formats that hold frames of one size, each with the time it is shown. A TIFF holds pages of any."""


READABLE = (*WRITABLE, ".gif", ".ppm", ".pgm", ".pbm", ".heic", ".heif", ".hif", ".jxl")
"""Suffixes of the pictures that a folder is searched for."""


MAX_PIXELS = 178_956_970
"""The default of `--max-pixels`: 512 MiB of RGB, where Pillow by itself refuses too."""


def writable(*, frames: bool) -> dict[str, str]:
    """Suffix -> format of what can be written; GIF, which has 256 colours, is for `frames` alone."""
    return WRITABLE | {".gif": "GIF"} if frames else WRITABLE


def picture_format(suffix: str, *, frames: bool = False) -> str:
    """The picture format that a suffix stands for, of one picture or of several `frames`.

    Raises:
        UsageError: none that can be written.
    """
    formats = writable(frames=frames)
    if suffix.lower() not in formats:
        raise UsageError(f"no picture format has the suffix {suffix!r}", f"use one of {' '.join(formats)}")
    return formats[suffix.lower()]
