"""Pictures from what Python programs hold, Pillow images and numpy arrays, and back."""

from __future__ import annotations

import numpy as np
from PIL import Image

from deformcli.errors import UsageError

from .decode import from_pillow
from .encode import to_channels, to_pillow
from .picture import Picture


def from_image(image: Image.Image | np.ndarray) -> Picture:
    """The picture in a Pillow image, turned upright by its EXIF, or in an array.

    Args:
        image: an array is (H, W) or (H, W, 1) grey, (H, W, 2) grey and alpha, (H, W, 3) RGB or (H, W, 4) RGBA, of
            uint8, of uint16, or of bool for a mask.

    Raises:
        UsageError: something else, or an image of 32 bits a channel.
    """
    if isinstance(image, Image.Image) and not image.mode.startswith("I;16"):
        if image.mode in ("I", "F"):
            raise UsageError(f"an image of the mode {image.mode}", "give one of 8 bits, or an array of uint16")
        return from_pillow(image)
    pixels = np.asarray(image)
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8) * 255
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    if pixels.dtype not in (np.uint8, np.uint16) or pixels.ndim != 3 or not (pixels.size and pixels.shape[2] <= 4):
        kind = f"{type(image).__name__} of {pixels.dtype}, {pixels.shape}"
        raise UsageError(f"no picture: {kind}", "give a Pillow image, or an array (H, W, 3) of uint8 or uint16, RGB")
    count = pixels.shape[2]
    rgb = pixels[..., :3] if count > 2 else pixels[..., :1].repeat(3, axis=2)
    return Picture(np.ascontiguousarray(rgb), pixels[..., -1].copy() if count in (2, 4) else None, grey=count < 3)


def to_image(picture: Picture, like: Image.Image | np.ndarray) -> Image.Image | np.ndarray:
    """The picture as what `like` is: a Pillow image, of 8 bits but for grey, or an array."""
    if not isinstance(like, Image.Image):
        channels = to_channels(picture)
        return channels[..., 0] if like.ndim == 2 and channels.shape[2] == 1 else channels
    if picture.grey and picture.alpha is None and picture.rgb.dtype == np.uint16:
        return Image.fromarray(np.ascontiguousarray(picture.rgb[..., 0]))
    image = to_pillow(picture)
    about = {"icc_profile": picture.icc, "exif": picture.exif, "dpi": picture.dpi}
    image.info |= {key: value for key, value in about.items() if value}
    return image
