"""Contact sheets: named columns of pictures, one row per item."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from . import to_uint8, write_image


def save_grid(path: Path, columns: Mapping[str, Tensor]) -> np.ndarray:
    """Write columns (N, 3, S, S) in [-1, 1] as one PNG, rows = items, in the mapping's order; the sheet (H, W, 3)."""
    tall = [torch.cat(list(column.float().cpu()), 1) for column in columns.values()]
    sheet = to_uint8(torch.cat(tall, 2))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(sheet, path)
    return sheet
