"""File -> Picture: what is refused, orientation, EXIF, profiles, alpha."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageFile, UnidentifiedImageError

from deformcli.errors import UsageError, one_line

from . import deep
from .formats import MAX_PIXELS
from .picture import Picture

_READABLE = ("PNG", "JPEG", "WEBP", "AVIF", "BMP", "TIFF", "GIF", "PPM")
_ORIENTATION = 0x0112
_UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: pixels[::-1].swapaxes(0, 1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: lambda pixels: pixels[:, ::-1].swapaxes(0, 1),
}
"""EXIF orientation -> stored pixels (H, W, ...) as they are to be seen."""
_BITS, _COLOURS, _PLANES, _ALPHA = 258, 262, 284, 338
"""Tags of a TIFF that say how its pixels are stored."""


def read_image(path: str | Path, *, max_pixels: int = MAX_PIXELS, frame: int | None = None) -> Picture:
    """Read a picture file, turned upright; see `decode_image`.

    Raises:
        UsageError: no such file, or what `decode_image` refuses.
    """
    return decode_image(_file_bytes(Path(path)), str(path), max_pixels=max_pixels, frame=frame)


def decode_image(data: bytes, name: str, *, max_pixels: int = MAX_PIXELS, frame: int | None = None) -> Picture:
    """The picture in the bytes of a file.

    Args:
        data: of a PNG, JPEG, WebP, AVIF, BMP, TIFF, GIF or PPM file.
        name: what errors call it.
        max_pixels: larger pictures are refused before they are decoded.
        frame: which page or frame, from 1; None refuses files with several.

    Raises:
        UsageError: not a picture, damaged, too large, several frames, or samples of 32 bits.
    """
    try:
        image = Image.open(io.BytesIO(data), formats=_READABLE)
        number = _check_kind(image, name, max_pixels, frame)
        return _picture(image, data, number)
    except UsageError:
        raise
    except UnidentifiedImageError as error:
        raise UsageError(f"{name} is not a picture", f"give a file of {', '.join(_READABLE)}") from error
    except Image.DecompressionBombError as error:
        raise UsageError(f"{name} has too many pixels: {one_line(error)}", "make it smaller") from error
    except Exception as error:  # decoders raise whatever comes when they meet a damaged file
        raise UsageError(f"{name} is damaged: {one_line(error)}", "get a whole copy of it") from error


@contextmanager
def pillow_limits(max_pixels: int) -> Iterator[None]:
    """Let Pillow open up to `max_pixels` and keep its warnings to itself, in all threads; not to be nested."""
    before = Image.MAX_IMAGE_PIXELS
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        Image.MAX_IMAGE_PIXELS = max_pixels  # Pillow refuses twice as many
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _file_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise UsageError(f"no such file: {path}", "check the path") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}", "give a file that can be read") from error


def _check_kind(image: ImageFile.ImageFile, name: str, max_pixels: int, frame: int | None) -> int:
    """Go to the frame asked for, refuse what the header shows, before pixels are decoded; the frame, from 0."""
    frames = getattr(image, "n_frames", 1)
    # An MPO is a phone's photo with previews or a depth map behind it: the first frame is the photo.
    if frame is None and frames > 1 and image.format != "MPO":
        cause = f"{name} is animated or has pages: {frames} frames"
        raise UsageError(cause, f"choose one with --frame, 1 to {frames}")
    if frame is not None and frame > frames:
        raise UsageError(f"{name} has no frame {frame}: it has {frames}", f"choose --frame 1 to {frames}")
    number = (frame or 1) - 1
    if number:
        image.seek(number)
    width, height = image.size
    if width * height > max_pixels:
        cause = f"{name} has {width} x {height} pixels, more than {max_pixels:,}"
        raise UsageError(cause, "make it smaller, or raise --max-pixels")
    deep_tiff = image.format == "TIFF" and _is_deep(image)
    if image.mode in ("I", "F") and not _is_deep(image):
        raise UsageError(f"{name} has 32 bits a channel", "save it with 8 or 16 bits a channel")
    if deep_tiff and (_tag(image, _COLOURS) > 2 or _tag(image, _PLANES) == 2):  # read wrongly, or not at all
        cause = f"{name} has 16 bits a channel that are not RGB or grey, or lie in planes of their own"
        raise UsageError(cause, "save it as RGB, its channels interleaved")
    return number


def _is_deep(image: ImageFile.ImageFile) -> bool:
    """Whether the file has 16 bits a channel; Pillow itself would drop 8 of them where there is colour."""
    if image.format == "PPM":
        return image.mode == "I" or any(isinstance(tile.args, tuple) and tile.args[-1] == 65535 for tile in image.tile)
    if image.format == "TIFF":
        return _tag(image, _BITS) == 16
    raw = [str(args[0] if isinstance(args := tile.args, tuple) else args) for tile in image.tile]
    return image.format == "PNG" and (image.mode in ("I", "I;16") or any(";16" in text for text in raw))


def _tag(image: ImageFile.ImageFile, tag: int) -> int:
    """The tag of a TIFF, the first of several values; 1 if it is not there, which is the default of those here."""
    value = image.tag_v2.get(tag, 1)  # type: ignore[attr-defined]
    return int(value[0] if isinstance(value, tuple) else value)


def from_pillow(image: Image.Image) -> Picture:
    """The picture in an image of at most 8 bits a channel."""
    return _upright(image, *_pixels(image), grey=image.mode in ("1", "L", "LA", "La"))


def _picture(image: ImageFile.ImageFile, data: bytes, number: int) -> Picture:
    is_deep = _is_deep(image)
    image.load()  # it notices damage that OpenCV does not, and applies the orientation of a TIFF, as OpenCV does
    if not is_deep:
        return from_pillow(image)
    rgb, alpha, grey = deep.decode(data, number)
    clear = image.info.get("transparency")
    if alpha is None and isinstance(
        clear, int
    ):  # OpenCV knows of transparent colours, of transparent greys it does not
        alpha = np.where(rgb[..., 0] == clear, 0, 65535).astype(np.uint16)
    if image.format == "TIFF" and _tag(image, _COLOURS) == 0:  # the least is white
        rgb = 65535 - rgb
    if image.format == "TIFF" and alpha is not None and _tag(image, _ALPHA) == 1:  # multiplied in
        rgb = (rgb * (65535 / np.maximum(alpha, 1)[..., None])).round().clip(0, 65535).astype(np.uint16)
    return _upright(image, rgb, alpha, grey)


def _upright(image: Image.Image, rgb: np.ndarray, alpha: np.ndarray | None, grey: bool) -> Picture:
    """The pixels as they are to be seen, and what else `image` says of them."""
    kind = "JPEG" if image.format == "MPO" else image.format or "PNG"
    exif, turn = _exif(image, kind)
    # The profile of a CMYK or Lab file does not describe the RGB pixels made of it.
    icc = image.info.get("icc_profile") if image.mode not in ("CMYK", "LAB", "YCbCr") else None
    rgb, alpha = np.ascontiguousarray(turn(rgb)), None if alpha is None else np.ascontiguousarray(turn(alpha))
    dpi = image.info.get("dpi")
    dpi = (float(dpi[0]), float(dpi[1])) if dpi and min(dpi) > 1 else None  # 1 is what Pillow reads where nothing is
    return Picture(rgb, alpha, grey, icc, exif, kind, dpi)


def _exif(image: Image.Image, kind: str) -> tuple[bytes | None, Callable[[np.ndarray], np.ndarray]]:
    """EXIF without the orientation, and what applies that; none where it is damaged: the pixels may be well."""
    try:
        exif = image.getexif()
        turn = _UPRIGHT.get(exif.pop(_ORIENTATION, 1), np.asarray)
        for tag in [tag for tag in exif if kind == "TIFF" and tag not in deep.ABOUT]:
            del exif[tag]
        return exif.tobytes() if exif else None, turn
    except Exception:
        return None, np.asarray


def _pixels(image: Image.Image) -> tuple[np.ndarray, np.ndarray | None]:
    """(H, W, 3) uint8 and, where there is any, alpha (H, W) uint8."""
    if image.mode in ("CMYK", "LAB"):
        return np.array(_to_srgb(image)), None
    if not image.has_transparency_data:
        return np.array(image.convert("RGB")), None
    rgba = np.array(image.convert("RGBA"))
    return rgba[..., :3].copy(), rgba[..., 3].copy()


def _to_srgb(image: Image.Image) -> Image.Image:
    """CMYK and Lab pixels as sRGB, by their own profile if there is one."""
    own = image.info.get("icc_profile")
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(own)) if own else ImageCms.createProfile("LAB")
        if own or image.mode == "LAB":
            made = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
            return made or image
    except (ImageCms.PyCMSError, OSError):
        pass  # a profile that does not serve
    return image.convert("RGB")
