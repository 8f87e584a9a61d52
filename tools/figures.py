"""Draws the figures of method.md with deform's own warps: python tools/figures.py [FOLDER]"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from deformcli.images import read_image, to_tensor, to_uint8, write_image
from deformcli.warp import backward_warp, flow_to_rgb, forward_warp, nearest_fill

ROOT = Path(__file__).parents[1]
SIDE, GAP = 160, 8  # pixels of a panel, and between two


def moved_disc(side: int) -> Tensor:
    """A flow (1, 2, side, side): a disc in the middle moves to the right, everything else stays."""
    y, x = torch.meshgrid(*[torch.linspace(-1, 1, side)] * 2, indexing="ij")
    inside = ((x + 0.15).hypot(y + 0.25) < 0.42).float()
    return torch.stack([0.22 * side * inside, -0.06 * side * inside])[None]


def turned(side: int) -> Tensor:
    """A smooth flow (1, 2, side, side), like that of a head that turns."""
    y, x = torch.meshgrid(*[torch.linspace(-1, 1, side)] * 2, indexing="ij")
    bump = (1 - (x + 0.1) ** 2 - (y + 0.2) ** 2).clamp_min(0)
    return torch.stack([0.28 * side * bump, 0.05 * side * bump * x])[None]


def panels(*images: Tensor) -> np.ndarray:
    """Pictures (1, 3, H, W) side by side on white, as (H, W', 3) uint8."""
    return to_uint8(torch.cat([F.pad(image, (0, GAP), value=1.0) for image in images], 3)[..., :-GAP])


def with_white_holes(warped: Tensor, coverage: Tensor) -> Tensor:
    return torch.where(coverage > 0.01, warped, 1.0)


def figures(folder: Path) -> list[Path]:
    """Write the figures; their paths."""
    photo = to_tensor(read_image(ROOT / "examples" / "astronaut.jpg"))[..., :256, 98:354]
    photo = F.interpolate(photo, (SIDE, SIDE), mode="area")
    made = {}
    flow = moved_disc(SIDE)
    forward, backward = forward_warp(photo, flow), backward_warp(photo, flow)
    made["forward-backward"] = panels(photo, flow_to_rgb(flow), with_white_holes(*forward), with_white_holes(*backward))
    flow = turned(SIDE)
    warped, coverage = forward_warp(photo, flow)
    known = (coverage > 0.1).float()
    filled = nearest_fill(warped, known)
    made["parts"] = panels(photo, flow_to_rgb(flow), warped, known.expand(-1, 3, -1, -1) * 2 - 1, filled)
    for name, picture in made.items():
        write_image(picture, folder / f"{name}.png")
    return [folder / f"{name}.png" for name in made]


if __name__ == "__main__":
    figures(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images")
