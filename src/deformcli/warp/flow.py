"""Helpers around flows: the mesh grid networks see, resizing, and the picture of a flow."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def mesh_grid(
    height: int, width: int, *, device: torch.device | None = None, dtype: torch.dtype | None = None
) -> Tensor:
    """Pixel positions as two channels, (1, 2, H, W), channel 0 = x, 1 = y, each from -1 to 1. Thesis section 3.3."""
    x = torch.linspace(-1, 1, width, device=device, dtype=dtype).expand(height, width)
    y = torch.linspace(-1, 1, height, device=device, dtype=dtype)[:, None].expand(height, width)
    return torch.stack([x, y])[None]


def resize_flow(flow: Tensor, height: int, width: int) -> Tensor:
    """Bring a flow (N, 2, h, w) in pixels to another resolution (N, 2, H, W), its values scaled with it."""
    scale = flow.new_tensor([width / flow.shape[3], height / flow.shape[2]]).view(1, 2, 1, 1)
    return F.interpolate(flow, (height, width), mode="bilinear", align_corners=False) * scale


def flow_to_rgb(flow: Tensor, max_length: float | None = None) -> Tensor:
    """Picture of a flow (N, 2, H, W) as RGB (N, 3, H, W) in [-1, 1]: hue = direction, saturation = length (Fig. 3.1).

    `max_length` in pixels is fully saturated; by default the longest finite vector of each flow.
    """
    flow = flow.nan_to_num(0.0, 0.0, 0.0)
    length = flow.norm(dim=1)
    peak = length.amax((1, 2), keepdim=True) if max_length is None else torch.full_like(length[:, :1, :1], max_length)
    saturation = (length / peak.clamp_min(1e-6)).clamp(0, 1)
    sector = (torch.atan2(flow[:, 1], flow[:, 0]) / math.pi + 1) * 3  # 0..6 around the colour wheel
    phase = torch.stack([sector, sector + 4, sector + 2], 1) % 6
    pure = ((phase - 3).abs() - 1).clamp(0, 1)
    return (1 - saturation[:, None] * (1 - pure)) * 2 - 1
