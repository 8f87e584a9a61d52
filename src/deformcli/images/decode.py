"""File -> Picture: what is refused, orientation, metadata, profiles, alpha."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFile, PngImagePlugin, UnidentifiedImageError

from deformcli.errors import UsageError, one_line

from . import deep, metadata, profiles, tiff
from .extras import register_extra
from .formats import MAX_PIXELS
from .picture import Picture

_READABLE = ("PNG", "JPEG", "WEBP", "AVIF", "BMP", "TIFF", "GIF", "PPM")
_SHALLOW = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB")
"""Modes of Pillow that have at most 8 bits a channel."""
_PHOTOS = ("MPO", "HEIF")
"""Formats of phones, with previews or a depth map behind a photo: the one that is shown is the photo."""
_TEXT_LIMIT = 64 << 20
"""Bytes of text and of a profile in a PNG; what holds more is no picture but a bomb."""


def read_image(path: str | Path, *, max_pixels: int = MAX_PIXELS, frame: int | None = None) -> Picture:
    """Read a picture file, turned upright, as `decode_image` does. Raises UsageError for no such file, too."""
    return decode_image(file_bytes(Path(path)), str(path), max_pixels=max_pixels, frame=frame)


def decode_image(
    data: bytes, name: str, *, max_pixels: int = MAX_PIXELS, frame: int | None = None, truncated: bool = False
) -> Picture:
    """The picture in the bytes of a file.

    Args:
        data: of a PNG, JPEG, WebP, AVIF, BMP, TIFF, GIF or PPM file; of HEIC and JPEG XL with the extras for them.
        name: what errors call it.
        max_pixels: larger pictures are refused before they are decoded.
        frame: which page or frame, from 1; None refuses files with several.
        truncated: whether of a JPEG that is cut off what there is is taken; a note says how much is missing.

    Raises:
        UsageError: not a picture, damaged, too large, several frames, or samples that are not read.
    """
    with _refusing(data, name):
        image = _opened(data, name)
        number = _frame_number(image, name, frame)
        if number != image.tell():
            image.seek(number)
        _check(image, name, max_pixels)
        return _picture(image, data, number, truncated)


def decode_frames(data: bytes, name: str, *, max_pixels: int = MAX_PIXELS, truncated: bool = False) -> list[Picture]:
    """Every page or frame in the bytes of a file, at least one; see `decode_image`.

    Args:
        max_pixels: so many in all of them.
    """
    with _refusing(data, name):
        image = _opened(data, name)
        if getattr(image, "n_frames", 1) == 1 or image.format in _PHOTOS:
            return [decode_image(data, name, max_pixels=max_pixels, truncated=truncated)]
        # What a PNG shows where animations are not known is no frame of its own.
        numbers = range(1 if image.info.get("default_image") else 0, image.n_frames)  # type: ignore[attr-defined]
        if image.width * image.height * len(numbers) > max_pixels:
            size = f"{len(numbers)} frames of {image.width} x {image.height} pixels"
            raise UsageError(f"{name} has {size}, more than {max_pixels:,}", "choose a --frame, or raise --max-pixels")
        return [_frame(image, data, name, number, max_pixels) for number in numbers]


def _frame(image: ImageFile.ImageFile, data: bytes, name: str, number: int, max_pixels: int) -> Picture:
    image.seek(number)
    _check(image, name, max_pixels)
    picture = _picture(image, data, number, truncated=False)
    duration = None if image.format == "TIFF" else image.info.get("duration", 0)
    loop = image.info.get("loop", 1 if image.format == "GIF" else 0)
    return replace(picture, duration=duration, loop=loop)


@contextmanager
def pillow_limits(max_pixels: int) -> Iterator[None]:
    """Let Pillow open up to `max_pixels`, and PNG files with long texts, and keep its warnings to itself.

    In all threads; not to be nested.
    """
    before = Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        Image.MAX_IMAGE_PIXELS = None  # `decode_image` looks by itself
        PngImagePlugin.MAX_TEXT_CHUNK = _TEXT_LIMIT
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK = before


def file_bytes(path: Path) -> bytes:
    """What is in the file. Raises UsageError if it cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise UsageError(f"no such file: {path}", "check the path") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}", "give a file that can be read") from error


@contextmanager
def _refusing(data: bytes, name: str) -> Iterator[None]:
    """What decoders raise, as errors with a remedy."""
    try:
        yield
    except UsageError:
        raise
    except UnidentifiedImageError as error:
        if kind := tiff.described(data):
            raise UsageError(f"{name} is a TIFF of {kind}", tiff.REMEDY) from error
        raise UsageError(f"{name} is not a picture", f"give a file of {', '.join(_READABLE)}") from error
    except Image.DecompressionBombError as error:
        raise UsageError(f"{name} has too many pixels: {one_line(error)}", "make it smaller") from error
    except Exception as error:  # decoders raise whatever comes when they meet a damaged file
        if isinstance(error, ValueError) and "too large for PngImagePlugin" in str(error):
            raise UsageError(f"{name} has very long texts or profiles", "strip it of its metadata") from error
        cut_off = data[:2] == b"\xff\xd8" and "truncated" in str(error)
        remedy = "get a whole copy of it" + ", or take what there is with --truncated keep" * cut_off
        raise UsageError(f"{name} is damaged: {one_line(error)}", remedy) from error


def _opened(data: bytes, name: str) -> ImageFile.ImageFile:
    extra = register_extra(data, name)
    return Image.open(io.BytesIO(data), formats=(extra,) if extra else _READABLE)


def _frame_number(image: ImageFile.ImageFile, name: str, frame: int | None) -> int:
    """The frame to read, from 0."""
    frames = getattr(image, "n_frames", 1)
    if frame is None and frames > 1 and image.format not in _PHOTOS:
        cause = f"{name} is animated or has pages: {frames} frames"
        raise UsageError(cause, f"choose one with --frame, 1 to {frames}, or --frame all")
    if frame is not None and frame > frames:
        raise UsageError(f"{name} has no frame {frame}: it has {frames}", f"choose --frame 1 to {frames}")
    return image.tell() if frame is None else frame - 1


def _check(image: ImageFile.ImageFile, name: str, max_pixels: int) -> None:
    """Refuse what the header shows, before pixels are decoded."""
    width, height = image.size
    if width * height > max_pixels:
        cause = f"{name} has {width} x {height} pixels, more than {max_pixels:,}"
        raise UsageError(cause, "make it smaller, or raise --max-pixels")
    if image.format == "TIFF" and not tiff.is_read(image):
        raise UsageError(f"{name} is a TIFF of {tiff.kind(image.tag_v2)}", tiff.REMEDY)  # type: ignore[attr-defined]
    if profiles.is_hdr(_nclx(image)):
        raise UsageError(f"{name} has HDR colours", "save it with those of a standard screen (SDR)")
    if image.mode not in _SHALLOW and not _is_deep(image):
        kind = "floating-point samples" if image.mode[0] == "F" else f"samples of the kind {image.mode}"
        raise UsageError(f"{name} has {kind}", "save it with 8 or 16 bits a channel")


def _is_deep(image: ImageFile.ImageFile) -> bool:
    """Whether the file has more than 8 bits a channel; Pillow itself would drop them where there is colour."""
    match image.format:
        case "PPM":
            return image.mode != "F" and _netpbm_most(image) > 255
        case "TIFF":
            return tiff.bits(image) > 8
        case "JXL":
            return image.mode == "I;16"
    raw = [str(args[0] if isinstance(args := tile.args, tuple) else args) for tile in image.tile]
    return image.format == "PNG" and (image.mode in ("I", "I;16") or any(";16" in text for text in raw))


def _netpbm_most(image: ImageFile.ImageFile) -> int:
    """The sample of a PGM or PPM that is white, as Pillow tells its decoders."""
    args: Any = image.tile[0].args
    raw, most = (args, None) if isinstance(args, str) else (args[0], args[-1] if len(args) == 2 else None)
    return most or (65535 if raw == "I;16B" else 255)


def from_pillow(image: Image.Image, code: bytes | None = None) -> Picture:
    """The picture in an image of at most 8 bits a channel; `code`: a PNG's cICP."""
    return _upright(image, *_pixels(image), image.mode in ("1", "L", "LA", "La"), code)


def _picture(image: ImageFile.ImageFile, data: bytes, number: int, truncated: bool) -> Picture:
    if image.format == "PPM" and _is_deep(image):  # all of it at once: Pillow takes sample after sample
        return _upright(image, *deep.decode_netpbm(data, image.tile[0].offset, image.size, _netpbm_most(image)))
    is_deep = _is_deep(image)
    try:
        image.load()  # it notices damage that OpenCV does not, and applies the orientation of a TIFF, as OpenCV does
    except OSError:
        if not (truncated and image.format in ("JPEG", "MPO")):
            raise
        return _cut_off(data)
    notes = tiff.notes(image) if image.format == "TIFF" else ()
    if not is_deep:
        return replace(from_pillow(image, code=_cicp(data)), notes=notes)
    if image.format == "JXL":
        levels = np.asarray(image).astype(np.uint16)
        return _upright(image, levels[..., None].repeat(3, axis=2), None, True)
    bits = tiff.bits(image) if image.format == "TIFF" else 16
    rgb, alpha, grey = deep.decode(data, bits=bits, frame=number)
    clear = image.info.get("transparency")
    if alpha is None and isinstance(clear, int):  # OpenCV knows transparent colours, but no transparent greys
        alpha = np.where(rgb[..., 0] == clear, 0, 65535).astype(np.uint16)
    if image.format == "TIFF":
        rgb, alpha = tiff.straight(image, rgb, alpha)
    return replace(_upright(image, rgb, alpha, grey, code=_cicp(data)), notes=notes)


def _cut_off(data: bytes) -> Picture:
    """What there is of a JPEG that ends too early: libjpeg makes the rest up once it meets an end."""
    try:
        image, again = _ended(data, b""), _ended(data, bytes(range(7, 250, 3)) * 4)
    except OSError:  # cut off in what comes before a scan
        start = max(data.rfind(b"\xff\xc4"), data.rfind(b"\xff\xda"))
        image = again = _ended(data[:start], b"")
    if image.info.get("progressive"):
        note = "it is cut off: the passes that hold its finer detail are missing, in whole or in part"
    else:  # where it was made up, it depends on how the data go on
        same = (np.asarray(image) == np.asarray(again)).reshape(image.height, -1).all(axis=1)
        missing = image.height - int(np.argmin(same)) if not same.all() else 0
        note = f"it is cut off: {100 * missing / image.height:.0f} % of it is missing, and made up"
    return replace(from_pillow(image), notes=(note,))


def _ended(data: bytes, more: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data + more + b"\xff\xd9"), formats=("JPEG",))
    image.load()
    return image


def _cicp(data: bytes) -> bytes | None:
    return next((body for name, body in metadata.png_chunks(data) if name == b"cICP" and len(body) == 4), None)


def _upright(
    image: Image.Image, rgb: np.ndarray, alpha: np.ndarray | None, grey: bool, code: bytes | None = None
) -> Picture:
    """The pixels as they are to be seen, and what else `image` says of them; `code`: of its colours, a PNG's cICP."""
    kind = "JPEG" if image.format == "MPO" else image.format or "PNG"
    exif, turn = metadata.exif_and_turn(image, kind)
    rgb, alpha = np.ascontiguousarray(turn(rgb)), None if alpha is None else np.ascontiguousarray(turn(alpha))
    dpi = image.info.get("dpi")
    dpi = (float(dpi[0]), float(dpi[1])) if dpi and min(dpi) > 1 else None  # 1 is what Pillow reads where nothing is
    cicp = code if profiles.is_hdr(code) else None
    icc = None if cicp else _profile(image, code, grey)
    return Picture(rgb, alpha, grey, icc, exif, kind, dpi, cicp=cicp, **metadata.other(image))


def _profile(image: Image.Image, code: bytes | None, grey: bool) -> bytes | None:
    if image.mode in ("CMYK", "LAB", "YCbCr"):  # theirs does not describe the RGB pixels made of them
        return None
    if code and profiles.is_known(code):
        return profiles.of_code(code, grey=grey)
    own = profiles.fitting(image.info.get("icc_profile"), grey=grey)
    if own or not (code := _nclx(image)):
        return own or profiles.of_png(image.info, grey=grey)
    return profiles.of_code(code, grey=grey)


def _nclx(image: Image.Image) -> bytes | None:
    """How the colours of HEIC without a profile are coded."""
    nclx = image.info.get("nclx_profile")
    return nclx and bytes([nclx["color_primaries"], nclx["transfer_characteristics"]])


def _pixels(image: Image.Image) -> tuple[np.ndarray, np.ndarray | None]:
    """(H, W, 3) uint8 and, where there is any, alpha (H, W) uint8."""
    if image.mode in ("CMYK", "LAB"):
        icc = image.info.get("icc_profile")
        made = profiles.to_srgb(image, icc) if icc or image.mode == "LAB" else None
        return np.array(made or image.convert("RGB")), None
    if not image.has_transparency_data:
        return np.array(image.convert("RGB")), None
    rgba = np.array((image.convert("LA") if image.mode == "La" else image).convert("RGBA"))
    return rgba[..., :3].copy(), rgba[..., 3].copy()
