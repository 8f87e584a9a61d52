"""Picture -> file, whole or not at all."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from deformcli.errors import UsageError, one_line
from deformcli.runtime.storage import write_atomic, writing

from . import deep, metadata, profiles
from .formats import picture_format
from .picture import Picture, to_depth

_NO_ALPHA = ("JPEG", "BMP")


def write_image(
    picture: Picture | np.ndarray, path: str | Path, *, quality: int | None = None, metadata: bool = True
) -> None:
    """Write a picture (or (H, W, 3) uint8 or uint16 pixels), its format by the suffix; there is a whole file or none.

    Args:
        picture: what to write; alpha, grey, 16 bits, profile, EXIF, XMP, IPTC, texts and dots per inch go along where
            the format has them.
        path: where to; the folder is made.
        quality: 1 to 100, of JPEG (None: 95), AVIF (None: 90) and WebP (None: lossless); from 90 on colours are not
            subsampled in JPEG and AVIF.
        metadata: False leaves out EXIF, XMP, IPTC and texts. The profile stays: without it the colours would be others.

    Raises:
        UsageError: a suffix that cannot be written, or transparency or HDR colours into a format without them.
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
        UsageError: a suffix that cannot be written, or transparency or HDR colours into a format without them.
    """
    kind = picture_format(suffix)
    if kind in _NO_ALPHA and picture.alpha is not None and (picture.alpha < np.iinfo(picture.alpha.dtype).max).any():
        raise UsageError(f"{kind} has no transparency, the picture has", "write it as .png or .webp")
    if kind != "PNG" and picture.cicp:
        raise UsageError(f"{kind} does not hold the picture's HDR colours (PQ or HLG)", "write it as .png")
    picture = _for_format(picture if metadata else picture.stripped(), kind)
    if picture.rgb.dtype == np.uint16 and kind in deep.ENCODERS:
        return deep.ENCODERS[kind](to_channels(picture), picture)
    out = io.BytesIO()
    try:
        to_pillow(picture, alpha=kind not in _NO_ALPHA).save(out, kind, **_saving_options(picture, kind, quality))
    except KeyError as error:
        raise UsageError(f"this Pillow cannot write {kind}", "write it as .png") from error
    except (OSError, ValueError) as error:
        size = "{} x {}".format(*picture.size)
        raise UsageError(f"{size} pixels do not fit {kind}: {one_line(error)}", "write it as .png") from error
    return out.getvalue()


def _for_format(picture: Picture, kind: str) -> Picture:
    """The picture in the colours that its profile will describe in a file of that kind."""
    icc = picture.icc
    if kind == "BMP" and icc:  # holds none
        return _in_srgb(picture)
    deep_alpha = picture.alpha is not None and picture.rgb.dtype == np.uint16  # as grey few programs read it in a TIFF
    coloured = kind in ("WEBP", "AVIF") or (kind == "TIFF" and deep_alpha) or (icc and not profiles.is_grey(icc))
    if not (picture.grey and coloured):
        return picture
    made = profiles.for_rgb(icc) if profiles.is_grey(icc) else icc
    return _in_srgb(picture) if icc and not made else replace(picture, grey=False, icc=made)


def _in_srgb(picture: Picture) -> Picture:
    made = profiles.to_srgb(to_pillow(picture, alpha=False), picture.icc)
    rgb = picture.rgb if made is None else to_depth(np.array(made), picture.rgb.dtype)
    return replace(picture, rgb=rgb, grey=False, icc=None)


def _saving_options(picture: Picture, kind: str, quality: int | None) -> dict[str, object]:
    said = {"icc_profile": picture.icc, "exif": picture.exif, "dpi": picture.dpi, "xmp": picture.xmp}
    match kind:
        case "JPEG":
            options = _lossy(quality or 95) | metadata.jpeg_options(picture)
            said |= {"exif": None, "xmp": None}
        case "AVIF":
            options = _lossy(quality or 90)
        case "WEBP":
            options = {"quality": quality} if quality else {"lossless": True, "exact": True}
        case "TIFF":
            options = {"compression": "tiff_adobe_deflate", "exif": metadata.tiff_tags(picture)}
            said |= {"exif": None, "xmp": None}
        case "PNG":
            options = {"pnginfo": metadata.png_info(picture)}
        case _:
            options = {}
    return options | {key: value for key, value in said.items() if value}


def _lossy(quality: int) -> dict[str, object]:
    return {"quality": quality, "subsampling": "4:4:4" if quality >= 90 else "4:2:0"}


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
