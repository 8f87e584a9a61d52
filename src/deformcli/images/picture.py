"""Pixels in memory: 8 or 16 bits, as arrays or as tensors. Imports torch late."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Picture:
    """Upright RGB pixels and what else the file held: all it takes to write the picture back."""

    rgb: np.ndarray
    """(H, W, 3) uint8 or uint16."""
    alpha: np.ndarray | None = None
    """(H, W) as deep as `rgb`, or None for an opaque picture."""
    grey: bool = False
    """Written back with one channel; the luminance of grey pixels is their value, bit for bit."""
    icc: bytes | None = None
    """The profile of the pixels: one of RGB or, if they are grey, of grey."""
    exif: bytes | None = None
    """Without the orientation, which has been applied."""
    format: str = "PNG"
    dpi: tuple[float, float] | None = None
    """Dots per inch, across and down, if the file says."""
    xmp: bytes | None = None
    iptc: bytes | None = None
    text: Mapping[str, str] = field(default_factory=dict)
    """Of a PNG, by its keys; "Comment" is that of a JPEG or GIF too."""
    cicp: bytes | None = None
    """The chunk of a PNG that says how HDR colours are coded; other colours have a profile instead."""
    duration: float | None = None
    """Milliseconds that a frame of an animation is shown."""
    loop: int = 0
    """How often an animation is played, 0 = for ever."""
    notes: tuple[str, ...] = ()
    """What its reader should tell of the file: what was left out, or is missing."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.rgb.shape[1], self.rgb.shape[0]

    @property
    def rgb8(self) -> np.ndarray:
        """(H, W, 3) uint8, whatever the depth of the picture."""
        return to_depth(self.rgb, np.uint8)

    def replaced(self, rgb: np.ndarray, where: np.ndarray | None = None) -> Picture:
        """The picture with other pixels: those of `rgb` (H, W, 3) where `where` (H, W) is true, everywhere for None.

        The picture keeps its depth, whichever `rgb` has, and its pixels elsewhere bit for bit.
        """
        rgb = to_depth(rgb, self.rgb.dtype)
        if where is not None:
            rgb = np.where(where[..., None], rgb, self.rgb)
        return replace(self, rgb=rgb)

    def painted(self, image: Tensor, where: np.ndarray | None = None) -> Picture:
        """`replaced` with the pixels of a tensor (1, 3, H, W) or (3, H, W) in [-1, 1]."""
        return self.replaced(to_pixels(image, self.rgb.dtype), where)

    def stripped(self) -> Picture:
        """The picture without what its file said of it; how its colours are meant stays."""
        return replace(self, exif=None, xmp=None, iptc=None, text={})

    def resized_to(self, rgb: np.ndarray) -> Picture:
        """The metadata of this picture with pixels of another size, of which alpha and dots per inch say nothing."""
        return replace(self, rgb=rgb, alpha=None, dpi=None)


def to_depth(pixels: np.ndarray, dtype: np.dtype | type) -> np.ndarray:
    """uint8 or uint16 pixels as the one or the other; 255 <-> 65535, and 8 bits survive 16."""
    if pixels.dtype == dtype:
        return pixels
    if dtype == np.uint16:
        return pixels.astype(np.uint16) * 257
    return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)


def to_tensor(picture: Picture | np.ndarray) -> Tensor:
    """(H, W, 3) uint8 or uint16 -> (1, 3, H, W) float32 in [-1, 1]."""
    import torch

    rgb = picture.rgb if isinstance(picture, Picture) else picture
    half = np.iinfo(rgb.dtype).max / 2
    return torch.from_numpy(rgb.astype(np.float32)).permute(2, 0, 1)[None].div(half).sub(1)  # (1, 3, H, W)


def to_pixels(image: Tensor, dtype: np.dtype | type = np.uint8) -> np.ndarray:
    """(1, 3, H, W) or (3, H, W) in [-1, 1] -> (H, W, 3) uint8 or uint16, rounded and clipped; undoes `to_tensor`.

    Raises:
        ValueError: another shape.
    """
    if tuple(image.shape[:-2]) not in ((3,), (1, 3)):
        raise ValueError(f"image: expected (1, 3, H, W) or (3, H, W), got {tuple(image.shape)}")
    pixels = _levels(image.reshape(image.shape[-3:]), np.iinfo(dtype).max)
    return pixels.permute(1, 2, 0).contiguous().cpu().numpy().astype(dtype)


def to_uint8(image: Tensor) -> np.ndarray:
    """`to_pixels` of 8 bits."""
    return to_pixels(image)


def quantize(image: Tensor) -> Tensor:
    """[-1, 1] -> uint8 of the same shape, rounded and clipped."""
    return _levels(image, 255).byte()


def dequantize(levels: Tensor) -> Tensor:
    """uint8 -> float32 in [-1, 1] of the same shape; undone by `quantize`."""
    return levels.float().div(127.5).sub(1)


def from_unit(values: np.ndarray) -> np.ndarray:
    """0..1 -> uint8 of the same shape, rounded and clipped."""
    return np.round(np.clip(values, 0, 1) * 255).astype(np.uint8)


def to_unit(levels: np.ndarray) -> np.ndarray:
    """uint8 -> float32 in 0..1 of the same shape; undone by `from_unit`."""
    return levels.astype(np.float32) / 255


def _levels(image: Tensor, most: int) -> Tensor:
    """[-1, 1] -> whole numbers 0..most, as float32."""
    return image.detach().float().add(1).mul(most / 2).nan_to_num(0).round().clamp(0, most)
