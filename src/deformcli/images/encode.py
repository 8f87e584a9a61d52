"""Picture -> file, whole or not at all."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from deformcli.errors import UsageError, one_line
from deformcli.runtime.storage import write_atomic, writing

from . import deep
from .formats import picture_format
from .picture import Picture, to_depth

_NO_ALPHA = ("JPEG", "BMP")


def write_image(
    picture: Picture | np.ndarray, path: str | Path, *, quality: int | None = None, metadata: bool = True
) -> None:
    """Write a picture (or (H, W, 3) uint8 or uint16 pixels), its format by the suffix; there is a whole file or none.

    Args:
        picture: what to write; alpha, grey, 16 bits, ICC profile, EXIF and dots per inch go along where the format has
            them.
        path: where to; the folder is made.
        quality: 1 to 100, of JPEG (None: 95, colours not subsampled), AVIF (None: 90, the same) and WebP (None:
            lossless).
        metadata: False leaves EXIF out. The ICC profile stays: without it the colours would be others.

    Raises:
        UsageError: a suffix that cannot be written, or transparency into a format without it.
        DeformError: the file cannot be written.
    """
    path = Path(path)
    picture = picture if isinstance(picture, Picture) else Picture(picture)
    data = encode_image(picture, path.suffix, quality=quality, metadata=metadata)
    with writing(path):
        write_atomic(path, data)


def encode_image(picture: Picture, suffix: str, *, quality: int | None = None, metadata: bool = True) -> bytes:
    """The bytes of the file that `write_image` writes.

    Raises:
        UsageError: a suffix that cannot be written, or transparency into a format without it.
    """
    kind = picture_format(suffix)
    if kind in _NO_ALPHA and picture.alpha is not None and (picture.alpha < np.iinfo(picture.alpha.dtype).max).any():
        raise UsageError(f"{kind} has no transparency, the picture has", "write it as .png or .webp")
    exif = picture.exif if metadata else None
    if picture.rgb.dtype == np.uint16 and kind in deep.ENCODERS:
        return deep.ENCODERS[kind](to_channels(picture), picture.icc, exif, picture.dpi)
    if kind == "JPEG" and exif and len(exif) > 65_000:  # of a PNG, say; a JPEG has no room for more
        exif = None
    options = _saving_options(kind, quality)
    about = {"icc_profile": picture.icc, "exif": exif, "dpi": picture.dpi}
    options |= {key: value for key, value in about.items() if value}
    out = io.BytesIO()
    try:
        to_pillow(picture, alpha=kind not in _NO_ALPHA).save(out, kind, **options)
    except KeyError as error:
        raise UsageError(f"this Pillow cannot write {kind}", "write it as .png") from error
    except (OSError, ValueError) as error:
        size = "{} x {}".format(*picture.size)
        raise UsageError(f"{size} pixels do not fit {kind}: {one_line(error)}", "write it as .png") from error
    return out.getvalue()


def _saving_options(kind: str, quality: int | None) -> dict[str, object]:
    match kind:
        case "JPEG":
            return {"quality": quality or 95, "subsampling": "4:4:4" if quality is None else "4:2:0"}
        case "AVIF":
            return {"quality": quality or 90, "subsampling": "4:4:4" if quality is None else "4:2:0"}
        case "WEBP":
            return {"quality": quality} if quality else {"lossless": True, "exact": True}
        case "TIFF":
            return {"compression": "tiff_adobe_deflate"}
        case _:
            return {}


def to_channels(picture: Picture) -> np.ndarray:
    """(H, W, C): grey or RGB, and alpha if there is any."""
    parts = [picture.rgb[..., :1] if picture.grey else picture.rgb]
    if picture.alpha is not None:
        parts.append(picture.alpha[..., None])
    return np.concatenate(parts, axis=2)


def to_pillow(picture: Picture, *, alpha: bool = True) -> Image.Image:
    """The 8-bit image of Pillow's: L, RGB, LA or RGBA."""
    image = Image.fromarray(np.ascontiguousarray(picture.rgb8))
    if picture.grey:
        image = image.convert("L")
    if picture.alpha is not None and alpha:
        image.putalpha(Image.fromarray(np.ascontiguousarray(to_depth(picture.alpha, np.uint8))))
    return image
