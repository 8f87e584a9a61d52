"""What both warps ask of their arguments; every message names the argument and what was expected."""

from __future__ import annotations

import torch
from torch import Tensor

_HALF = (torch.float16, torch.bfloat16)
_FULL = (torch.float32, torch.float64)


def checked(image: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
    """`image` (N or 1, C, H, W) and `flow` (N, 2, H, W), in float32 if they are halves under autocast, of any device.

    Raises TypeError or ValueError unless they fit together.
    """
    for name, tensor in (("image", image), ("flow", flow)):
        if not isinstance(tensor, Tensor):
            raise TypeError(f"{name}: expected a torch.Tensor, got {type(tensor).__name__}")
        if tensor.ndim != 4:
            raise ValueError(f"{name}: expected 4 dimensions (N, C, H, W), got shape {tuple(tensor.shape)}")
    (images, _, h, w), (flows, channels, flow_h, flow_w) = image.shape, flow.shape
    if channels != 2:
        raise ValueError(f"flow: expected 2 channels (x, y), got shape {tuple(flow.shape)}")
    if h != flow_h or w != flow_w or not h or not w:
        raise ValueError(f"flow: expected the image's size {(h, w)}, got {(flow_h, flow_w)}")
    if images not in (1, flows):
        raise ValueError(f"image: expected a batch of {flows} (the flow's) or 1, got {images}")
    if image.device != flow.device:
        raise ValueError(f"flow: expected the image's device {image.device}, got {flow.device}")
    if image.dtype == flow.dtype and flow.dtype in _FULL:
        return image, flow
    if _autocast(image.device.type):
        image, flow = (tensor.float() if tensor.dtype in _HALF else tensor for tensor in (image, flow))
    if flow.dtype not in _FULL:
        raise TypeError(f"flow: expected float32 or float64, got {flow.dtype}")
    if image.dtype != flow.dtype and not (image.dtype in _HALF and flow.dtype == torch.float32):
        raise TypeError(f"image: expected {flow.dtype} (or a half type with float32 flow), got {image.dtype}")
    return image, flow


def _autocast(device_type: str) -> bool:
    return torch.amp.is_autocast_available(device_type) and torch.is_autocast_enabled(device_type)
