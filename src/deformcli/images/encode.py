"""Picture -> file, whole or not at all."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import AppendingTiffWriter

from deformcli.errors import UsageError, one_line
from deformcli.runtime.storage import write_atomic, writing

from . import deep, metadata, profiles
from .formats import ANIMATED, picture_format
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
    picture = _for_format(picture, kind, metadata)
    if kind == "TIFF":
        return deep.encode_tiff(to_channels(picture), picture)
    if kind == "PNG" and picture.rgb.dtype == np.uint16:
        return deep.encode_png(to_channels(picture), picture)
    return _saved(to_pillow(picture, alpha=kind not in _NO_ALPHA), kind, **_saving_options(picture, kind, quality))


def can_hold(pictures: Sequence[Picture], suffix: str) -> bool:
    """Whether one file of the format can hold the pictures as its frames or pages; `encode_frames` makes it."""
    kind = picture_format(suffix, frames=True)
    timed = {picture.size for picture in pictures if picture.duration is not None}
    same = len(timed) == 1 and None not in [picture.duration for picture in pictures]
    return kind == "TIFF" or (kind in ANIMATED and same)


def encode_frames(
    pictures: Sequence[Picture], suffix: str, *, quality: int | None = None, metadata: bool = True
) -> bytes:
    """The bytes of one file of all the pictures, which is to be one that `can_hold` them.

    Animations have 8 bits a channel, a GIF 256 colours a frame as well. The first picture's metadata is that of all.

    Raises:
        UsageError: as `encode_image`.
    """
    kind = picture_format(suffix, frames=True)
    if kind == "TIFF":
        return _pages([encode_image(one, suffix, metadata=metadata and one is pictures[0]) for one in pictures])
    ready = [_for_format(picture, kind, metadata) for picture in pictures]
    mode = "RGBA" if any(picture.alpha is not None for picture in ready) else "RGB"
    images = [to_pillow(picture).convert(mode) for picture in ready]
    options = _saving_options(replace(ready[0], grey=False), kind, quality)
    if kind == "GIF":
        images = [_with_palette(image) for image in images]
        options |= {"disposal": 2} if mode == "RGBA" else {}
    if kind != "GIF" or ready[0].loop != 1:
        options |= {"loop": ready[0].loop}
    durations = [round(picture.duration or 0) for picture in ready]
    return _saved(images[0], kind, save_all=True, append_images=images[1:], duration=durations, **options)


def _pages(files: Sequence[bytes]) -> bytes:
    out = io.BytesIO()
    with AppendingTiffWriter(out) as writer:
        for data in files:
            writer.write(data)
            writer.newFrame()
    return out.getvalue()


def _with_palette(image: Image.Image) -> Image.Image:
    """255 colours, and one that is transparent where there is one."""
    made = image.convert("RGB").quantize(255 if image.mode == "RGBA" else 256)
    if image.mode == "RGB":
        return made
    clear = np.asarray(image)[..., 3] < 128
    with_hole = Image.fromarray(np.where(clear, np.uint8(255), np.asarray(made)))
    with_hole.putpalette(made.getpalette() or [])
    with_hole.info["transparency"] = 255
    return with_hole


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    try:
        image.save(out, kind, **options)
    except KeyError as error:
        raise UsageError(f"this Pillow cannot write {kind}", "write it as .png") from error
    except (OSError, ValueError) as error:
        size = "{} x {}".format(*image.size)
        raise UsageError(f"{size} pixels do not fit {kind}: {one_line(error)}", "write it as .png") from error
    return out.getvalue()


def _for_format(picture: Picture, kind: str, metadata: bool) -> Picture:
    """The picture in the colours that its profile will describe in a file of that kind, which has to hold them."""
    if kind in _NO_ALPHA and picture.alpha is not None and (picture.alpha < np.iinfo(picture.alpha.dtype).max).any():
        raise UsageError(f"{kind} has no transparency, the picture has", "write it as .png or .webp")
    if kind != "PNG" and picture.cicp:
        raise UsageError(f"{kind} does not hold the picture's HDR colours (PQ or HLG)", "write it as .png")
    picture, icc = picture if metadata else picture.stripped(), picture.icc
    if kind in ("BMP", "GIF") and icc:  # they hold none
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
