"""A frontal view at the photo's own resolution: the flow regressed at 128 pixels moves all of the photo's pixels."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from .networks import Frontalized, GeneratorConfig, soft_warp

FEATHER = 2  # pixels of the small result over which detail fades toward what is not known


def enlarge(face: Tensor, made: Frontalized, config: GeneratorConfig) -> Tensor:
    """The frontal view of `face` (1, 3, S, S) in [-1, 1], of which `made` is the one at 128 pixels: (1, 3, S, S).

    Colours are those of the small result, holes and light included; finer detail is added where the warped photo has
    any, or its mirror image, as in the generator's own composition.
    """
    size, factor = face.shape[-1], face.shape[-1] / made.output.shape[-1]
    flow = _resized(made.flow, size) * factor
    visibility = None if made.visibility is None else _resized(made.visibility, size)
    warped, known, _ = soft_warp(face, flow, visibility, config)
    known = _feathered(known, round(FEATHER * factor))
    mirrored_known = (1 - known) * known.flip(-1)
    weight = known + mirrored_known
    moved = (known * warped + mirrored_known * warped.flip(-1)) / weight.clamp_min(1e-3)
    detail = weight * _detail(moved, weight, made.output.shape[-1])
    return (_resized(made.output, size, "bicubic") + detail).clamp(-1, 1)


def _detail(image: Tensor, weight: Tensor, size: int) -> Tensor:
    """What of `image` a picture of `size` pixels does not show; unknown pixels, of no weight, do not count."""
    coarse = F.interpolate(image * weight, (size, size), mode="area")
    coarse = coarse / F.interpolate(weight, (size, size), mode="area").clamp_min(1e-3)
    return image - _resized(coarse, image.shape[-1], "bicubic")


def _feathered(known: Tensor, radius: int) -> Tensor:
    """`known` shrunk by `radius` pixels and falling to 0 over as many."""
    near = -F.max_pool2d(-known, 2 * radius + 1, 1, radius)
    return near if radius == 0 else F.avg_pool2d(near, 2 * radius + 1, 1, radius, count_include_pad=False)


def _resized(image: Tensor, size: int, mode: str = "bilinear") -> Tensor:
    return F.interpolate(image, (size, size), mode=mode, align_corners=False)
