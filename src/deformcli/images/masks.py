"""Mask files, whose polarity (white = fill) is turned round here and nowhere else."""

from __future__ import annotations

import numpy as np
from PIL import Image

from .picture import Picture, to_depth

BLACK, COLOUR = 32, 64
"""Of 255: up to the one the colours of a mask are black with the noise of compression, from the other on white."""
WHITE = 248
"""Of 255: what is as light is meant as white."""


def mask_weights(mask: Picture) -> tuple[np.ndarray, tuple[str, ...]]:
    """How white a mask picture is, (H, W) uint8, and what should be told of it. Transparent is black.

    In a coloured mask, one of a palette or of an editor, all colours are white. One of 0 and 1 alone is of those.
    """
    opaque = None if mask.alpha is None else to_depth(mask.alpha, np.uint8)
    rgb = mask.rgb if opaque is None else np.where(opaque[..., None] > 0, mask.rgb, 0)
    weights, notes = _lightness(rgb)
    if opaque is not None:
        weights = ((weights * opaque.astype(np.uint16) + 127) // 255).astype(np.uint8)
    return weights, (*mask.notes, *notes)


def mask_known(mask: Picture, *, invert: bool = False) -> np.ndarray:
    """The known pixels (H, W) bool of a mask picture: white or, if `invert`, black = hole; the threshold is half."""
    light = mask_weights(mask)[0] >= 128
    return light if invert else ~light


def _lightness(rgb: np.ndarray) -> tuple[np.ndarray, list[str]]:
    most = rgb.max(axis=2)
    if most.max() == 1:
        return most.astype(np.uint8) * 255, ["it holds 0 and 1 alone: 1 counts as white"]
    rgb8 = to_depth(rgb, np.uint8)
    most, least = rgb8.max(axis=2), rgb8.min(axis=2)
    if ((most >= COLOUR) & (most - least > most // 4)).any():
        shares = (most.astype(float) - BLACK) / (COLOUR - BLACK)
        return (shares.clip(0, 1) * 255).round().astype(np.uint8), ["it is coloured: all of its colours count as white"]
    grey = np.array(Image.fromarray(rgb8).convert("L"))
    brightest = int(grey.max())
    faint = [f"its brightest value is {brightest} of 255, not white: pixels are blended, not replaced"]
    return grey, faint if 0 < brightest < WHITE else []
