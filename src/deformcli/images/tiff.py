"""TIFF files: how their samples are stored, and which of the many ways are read."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

REMEDY = "save it as RGB or grey with 8 or 16 bits a channel, whole numbers from 0, its channels interleaved"
_BITS, _COLOURS, _CHANNELS, _PLANES, _EXTRA, _SAMPLES = 258, 262, 277, 284, 338, 339
_SAMPLE_KINDS = {2: ", signed", 3: ", floating-point", 5: ", complex", 6: ", complex"}
_COLOUR_KINDS = {0: "grey", 1: "grey", 2: "RGB", 3: "palette", 5: "CMYK", 6: "YCbCr", 8: "Lab", 32803: "raw sensor"}


def is_read(image: Image.Image) -> bool:
    """Whether an opened TIFF is one that `deform` reads right: Pillow opens more than that."""
    tags = image.tag_v2  # type: ignore[attr-defined]
    if set(_values(tags, _SAMPLES)) != {1}:
        return False
    side_by_side = len(_values(tags, _BITS)) == 1 or _values(tags, _PLANES) == (1,)
    depth = bits(image)
    return depth <= 8 or (depth in (10, 12, 14, 16) and _values(tags, _COLOURS)[0] <= 2 and side_by_side)


def bits(image: Image.Image) -> int:
    """The depth of a sample of an opened TIFF."""
    return max(_values(image.tag_v2, _BITS))  # type: ignore[attr-defined]


def straight(image: Image.Image, rgb: np.ndarray, alpha: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Stored pixels (H, W, 3) and their fourth channel (H, W), uint16, as colours and alpha as others store them."""
    tags = image.tag_v2  # type: ignore[attr-defined]
    if _values(tags, _COLOURS) == (0,):  # the least is white
        rgb = 65535 - rgb
    match tags.get(_EXTRA, (2,))[0]:
        case 0:
            return rgb, None
        case 1 if alpha is not None:  # multiplied in
            rgb = (rgb * (65535 / np.maximum(alpha, 1)[..., None])).round().clip(0, 65535).astype(np.uint16)
    return rgb, alpha


def notes(image: Image.Image) -> tuple[str, ...]:
    """What is left out of an opened TIFF."""
    left_out = 0 in image.tag_v2.get(_EXTRA, ())  # type: ignore[attr-defined]
    return ("it has a channel more, which it does not call transparency: that is left out",) * left_out


def described(data: bytes) -> str | None:
    """How the samples of a file are stored that Pillow does not open; None if it is no TIFF."""
    if data[:4] not in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return None
    try:
        directory = ImageFileDirectory_v2(data[: 16 if b"+" in data[:4] else 8])
        stream = io.BytesIO(data)
        stream.seek(directory.next)
        directory.load(stream)
        return kind(directory)
    except Exception:  # damaged tags
        return None


def kind(tags: Mapping[int, Any]) -> str:
    """How the samples of a TIFF are stored, in words."""
    depths = _values(tags, _BITS)
    count = tags.get(_CHANNELS, len(depths))
    samples = _SAMPLE_KINDS.get(_values(tags, _SAMPLES)[0], "")
    colours = _COLOUR_KINDS.get(_values(tags, _COLOURS)[0], "unknown colours")
    planes = ", in planes of their own" * (_values(tags, _PLANES) == (2,))
    return f"{count} {'channel' if count == 1 else 'channels'} of {max(depths)} bits{samples} ({colours}){planes}"


def _values(tags: Mapping[int, Any], tag: int) -> tuple[int, ...]:
    """Of a tag whose default is 1."""
    value = tags.get(tag, 1)
    return value if isinstance(value, tuple) else (value,)
