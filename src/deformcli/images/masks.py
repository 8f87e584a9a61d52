"""Mask files, whose polarity (white = fill) is turned round here and nowhere else."""

from __future__ import annotations

import numpy as np
from PIL import Image

from .picture import Picture, to_depth


def mask_weights(mask: Picture) -> np.ndarray:
    """How white a mask picture is: (H, W) uint8. Its colours count as grey; transparent is black."""
    grey = np.array(Image.fromarray(mask.rgb8).convert("L"))
    if mask.alpha is not None:
        grey = ((grey * to_depth(mask.alpha, np.uint8).astype(np.uint16) + 127) // 255).astype(np.uint8)
    return grey


def mask_known(mask: Picture, *, invert: bool = False) -> np.ndarray:
    """The known pixels (H, W) bool of a mask picture: white or, if `invert`, black = hole; the threshold is half."""
    light = mask_weights(mask) >= 128
    return light if invert else ~light
