"""File <-> pixels: the only home of uint8, EXIF, ICC, alpha and of the polarity of masks. Imports torch late."""

from __future__ import annotations

import io
import struct
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageFile, ImageFilter, ImageOps, UnidentifiedImageError

from .errors import DeformError, NothingToDoError, UsageError, one_line
from .files import MAX_PIXELS, picture_format, write_atomic

if TYPE_CHECKING:
    from torch import Tensor

_READABLE = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "PPM")
_NO_ALPHA = ("JPEG", "BMP")
# What Pillow's decoders raise on damaged files, besides OSError.
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, struct.error, Image.DecompressionBombError)


@dataclass(frozen=True, eq=False)
class Picture:
    """Upright RGB pixels and what else the file held: all it takes to write the picture back."""

    rgb: np.ndarray
    """(H, W, 3) uint8."""
    alpha: np.ndarray | None = None
    """(H, W) uint8, or None for an opaque picture."""
    grey: bool = False
    """Written back with one channel; the luminance of grey pixels is their value, bit for bit."""
    icc: bytes | None = None
    exif: bytes | None = None
    """Without the orientation, which has been applied."""
    format: str = "PNG"

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.rgb.shape[1], self.rgb.shape[0]

    def replaced(self, rgb: np.ndarray, where: np.ndarray | None = None) -> Picture:
        """The picture with other pixels: those of `rgb` (H, W, 3) where `where` (H, W) is true, everywhere for None."""
        if where is not None:
            rgb = np.where(where[..., None], rgb, self.rgb)
        return replace(self, rgb=rgb)

    def resized_to(self, rgb: np.ndarray) -> Picture:
        """The metadata of this picture with pixels of another size; alpha belongs to the old pixels and is dropped."""
        return replace(self, rgb=rgb, alpha=None)


def read_image(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> Picture:
    """Read a picture file, turned upright.

    Raises:
        UsageError: no such file, not a picture, truncated, animated, 16 bits a channel, or more than `max_pixels`.
    """
    return decode_image(_file_bytes(Path(path)), str(path), max_pixels=max_pixels)


def decode_image(data: bytes, name: str, *, max_pixels: int = MAX_PIXELS) -> Picture:
    """The picture in the bytes of a file; `name` is what errors call it.

    Raises:
        UsageError: see `read_image`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # `max_pixels` is the limit, not Pillow's
            image = Image.open(io.BytesIO(data), formats=_READABLE)
        _check_kind(image, name, max_pixels)
        image.load()
        upright = ImageOps.exif_transpose(image)
    except UnidentifiedImageError as error:
        raise UsageError(f"{name} is not a picture", "give a PNG, JPEG, WebP, BMP, TIFF, GIF or PPM file") from error
    except _DAMAGE as error:
        raise UsageError(f"{name} is damaged: {one_line(error)}", "get a whole copy of it") from error
    return _picture(upright, image.format or "PNG")


def write_image(
    picture: Picture | np.ndarray, path: str | Path, *, quality: int | None = None, metadata: bool = True
) -> None:
    """Write a picture (or (H, W, 3) uint8 pixels), its format by the suffix; there is a whole file or none.

    Args:
        picture: what to write; alpha, grey, ICC profile and EXIF go along where the format has them.
        path: where to; the folder is made.
        quality: 1 to 100, of JPEG (None: 95, colours not subsampled) and WebP (None: lossless).
        metadata: False leaves EXIF and the ICC profile out.

    Raises:
        UsageError: a suffix that cannot be written, or transparency into a format without it.
        DeformError: the file cannot be written.
    """
    path = Path(path)
    picture = picture if isinstance(picture, Picture) else Picture(picture)
    data = encode_image(picture, path.suffix, quality=quality, metadata=metadata)
    try:
        write_atomic(path, data)
    except OSError as error:
        raise DeformError(f"{path} cannot be written: {error.strerror or error}", "choose another place") from error


def encode_image(picture: Picture, suffix: str, *, quality: int | None = None, metadata: bool = True) -> bytes:
    """The bytes of the file that `write_image` writes.

    Raises:
        UsageError: a suffix that cannot be written, or transparency into a format without it.
    """
    kind = picture_format(suffix)
    if kind in _NO_ALPHA and picture.alpha is not None and (picture.alpha < 255).any():
        raise UsageError(f"{kind} has no transparency, the picture has", "write it as .png or .webp")
    options: dict[str, object] = {}
    if kind == "JPEG":
        options = {"quality": quality or 95, "subsampling": "4:4:4" if quality is None else "4:2:0"}
    elif kind == "WEBP":
        options = {"quality": quality} if quality else {"lossless": True, "exact": True}
    if metadata:
        options |= {key: value for key, value in (("icc_profile", picture.icc), ("exif", picture.exif)) if value}
    out = io.BytesIO()
    try:
        _pillow_image(picture, kind).save(out, kind, **options)
    except (OSError, ValueError) as error:
        size = "{} x {}".format(*picture.size)
        raise UsageError(f"{size} pixels do not fit {kind}: {one_line(error)}", "write it as .png") from error
    return out.getvalue()


def read_mask(
    path: str | Path, size: tuple[int, int], *, invert: bool = False, dilate: int = 0, max_pixels: int = MAX_PIXELS
) -> np.ndarray:
    """Read a mask file (white = fill, black = keep; the threshold is half) as `known`.

    Args:
        path: a picture file; its colours count as grey, transparent is black.
        size: (width, height) it must have.
        invert: the file has black = fill.
        dilate: pixels by which what is to be filled grows each way.

    Returns:
        (H, W) bool: True = known pixel, False = hole.

    Raises:
        UsageError: not readable, of another size, or nothing is known.
        NothingToDoError: nothing is to be filled.
    """
    mask = read_image(path, max_pixels=max_pixels)
    if mask.size != size:
        have, want = (f"{width} x {height}" for width, height in (mask.size, size))
        raise UsageError(f"the mask {path} is {have}, the picture is {want}", "give a mask of the picture's size")
    light = np.asarray(Image.fromarray(mask.rgb).convert("L")) >= 128
    fill = light if mask.alpha is None else light & (mask.alpha >= 128)
    if invert:
        fill = ~fill
    if dilate:
        grown = Image.fromarray(fill.astype(np.uint8)).filter(ImageFilter.MaxFilter(2 * dilate + 1))
        fill = np.asarray(grown) > 0
    if not fill.any():
        raise NothingToDoError(f"the mask {path} marks nothing to fill", "paint what to fill white, or invert the mask")
    if fill.all():
        raise UsageError(f"the mask {path} leaves nothing to fill from", "paint only what to fill white, or invert it")
    return ~fill


def to_tensor(picture: Picture | np.ndarray) -> Tensor:
    """(H, W, 3) uint8 -> (1, 3, H, W) float32 in [-1, 1]."""
    import torch

    rgb = picture.rgb if isinstance(picture, Picture) else picture
    return torch.tensor(rgb).permute(2, 0, 1)[None].float().div(127.5).sub(1)  # (1, 3, H, W)


def to_uint8(image: Tensor) -> np.ndarray:
    """(1, 3, H, W) or (3, H, W) in [-1, 1] -> (H, W, 3) uint8, rounded and clipped; undoes `to_tensor` exactly.

    Raises:
        ValueError: another shape.
    """
    if tuple(image.shape[:-2]) not in ((3,), (1, 3)):
        raise ValueError(f"image: expected (1, 3, H, W) or (3, H, W), got {tuple(image.shape)}")
    pixels = image.detach().reshape(image.shape[-3:]).float().add(1).mul(127.5).nan_to_num(0)
    return pixels.round().clamp(0, 255).byte().permute(1, 2, 0).contiguous().cpu().numpy()


def known_tensor(known: np.ndarray) -> Tensor:
    """(H, W) bool -> (1, 1, H, W) float32, 1 = known."""
    import torch

    return torch.tensor(known)[None, None].float()


def _file_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise UsageError(f"no such file: {path}", "check the path") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}", "give a file that can be read") from error


def _check_kind(image: ImageFile.ImageFile, name: str, max_pixels: int) -> None:
    """Refuse what the header shows, before the pixels are decoded."""
    width, height = image.size
    if width * height > max_pixels:
        cause = f"{name} has {width} x {height} pixels, more than {max_pixels:,}"
        raise UsageError(cause, "make it smaller, or raise --max-pixels")
    frames = getattr(image, "n_frames", 1)
    # An MPO is a phone's photo with previews or a depth map behind it: the first frame is the photo.
    if frames > 1 and image.format != "MPO":
        raise UsageError(f"{name} is animated or has pages: {frames} frames", "extract the one you want")
    if image.mode in ("I", "F") or "16" in image.mode or any("16" in str(tile.args) for tile in image.tile):
        raise UsageError(f"{name} has more than 8 bits a channel", "save it with 8 bits a channel")


def _picture(image: Image.Image, kind: str) -> Picture:
    grey = image.mode in ("1", "L", "LA", "La")
    rgba = image.convert("RGBA") if image.has_transparency_data else None
    exif = image.getexif()
    # The profile of a CMYK or Lab file does not describe the RGB pixels made of it.
    keeps_profile = grey or image.mode in ("P", "PA", "RGB", "RGBA", "RGBa", "RGBX")
    return Picture(
        rgb=np.array(rgba)[..., :3].copy() if rgba else np.array(image.convert("RGB")),
        alpha=np.array(rgba)[..., 3].copy() if rgba else None,
        grey=grey,
        icc=image.info.get("icc_profile") if keeps_profile else None,
        exif=exif.tobytes() if exif and kind != "TIFF" else None,  # a TIFF's describe how its pixels are stored
        format="JPEG" if kind == "MPO" else kind,
    )


def _pillow_image(picture: Picture, kind: str) -> Image.Image:
    image = Image.fromarray(np.ascontiguousarray(picture.rgb))
    if picture.grey:
        image = image.convert("L")
    if picture.alpha is not None and kind not in _NO_ALPHA:
        image.putalpha(Image.fromarray(np.ascontiguousarray(picture.alpha)))
    return image
