"""Contact sheets: named columns of pictures, one row per item."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from deformcli.images import to_uint8, write_image


def save_grid(path: Path, columns: Mapping[str, Tensor]) -> None:
    """Write columns (N, 3, S, S) in [-1, 1] as one PNG, rows = items. The columns' order is the mapping's."""
    sheet = torch.cat([torch.cat(list(column.float().cpu()), 1) for column in columns.values()], 2)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(to_uint8(sheet), path)
