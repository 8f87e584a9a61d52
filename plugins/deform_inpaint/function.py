"""`deformcli.inpaint`: what `deform inpaint` does, for Python programs."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from typing import Literal, TypeVar

import numpy as np
from PIL import Image

from deformcli.images import from_image, to_image
from deformcli.options import NetworkOptions

from .inpainter import Inpainter
from .masks import Mask, finished, fitted
from .options import MaskOptions

Kind = TypeVar("Kind", Image.Image, np.ndarray)

_inpainter = cache(Inpainter.load)


def inpaint(
    image: Kind,
    mask: Image.Image | np.ndarray,
    *,
    invert_mask: bool = False,
    mask_dilate: int = 0,
    mask_fit: Literal["error", "resize"] = "error",
    tile: int | None = None,
    weights: str | None = None,
    device: str = "auto",
    offline: bool = False,
    progress: Callable[[float], object] | None = None,
) -> Kind:
    """The image, filled where the mask is white; every pixel outside the mask stays as it is.

    Args:
        image: a Pillow image, or an array (H, W, 3), (H, W, 4) or (H, W) of uint8 or uint16; so is what is returned.
        mask: of the image's size, an image or an array (H, W) of uint8 or bool: white = fill, grey = blend. Colours,
            and the 1 of a mask of 0 and 1, count as white, with a warning.
        invert_mask, mask_dilate, mask_fit, tile, weights, device, offline: as the command's options. The network is
            loaded at the first call, and kept.
        progress: called with the share of the work that is done, 0 to 1, again and again; what it raises ends the work.

    Raises:
        UsageError: no such image or mask, a mask of another size, or one that leaves nothing to fill from.
        NothingToDoError: the mask marks nothing.
        WeightsError: the weights are not to be had.
    """
    options = MaskOptions(mask="", invert_mask=invert_mask, mask_dilate=mask_dilate, mask_fit=mask_fit)
    picture = from_image(image)
    painted, notes = fitted(from_image(mask), "the mask", picture, options)
    for note in notes:
        warnings.warn(f"the mask: {note}", stacklevel=2)
    shares = finished(Mask.painted(painted, "the mask"), options)
    network = _inpainter(NetworkOptions(weights=weights, device=device, offline=offline))
    return to_image(network.fill(picture, shares, tile=tile, progress=progress), image)
