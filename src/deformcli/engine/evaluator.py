"""Several methods over the same items: one row per method and group, one column per metric."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from .recipe import Batch, Recipe, to_device

ALL = "all"


@dataclass(frozen=True)
class Row:
    """Means over the `items` of one `group` ("all" for every item) as one `method` made them."""

    method: str
    group: str
    items: int
    means: Mapping[str, float]


@torch.inference_mode()
def evaluate(
    recipe: Recipe,
    data: Dataset,
    methods: Mapping[str, Callable[[Batch], Tensor]],
    metrics: Mapping[str, Callable[[Tensor, Tensor], Tensor]],
    device: torch.device,
    batch_size: int = 16,
) -> list[Row]:
    """Run every method over `data` once and judge it against `recipe.target`. Pictures are rounded to 8 bits first."""
    recipe.generator.eval()
    values: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for batch in DataLoader(data, batch_size=batch_size):
        batch = to_device(batch, device)
        target, groups = recipe.target(batch), recipe.groups(batch)
        for method, function in methods.items():
            image = ((function(batch) + 1) * 127.5).round().clamp(0, 255) / 127.5 - 1
            for metric, judge in metrics.items():
                for group, value in zip(groups, judge(image, target).tolist(), strict=True):
                    values[method, group][metric].append(value)
                    values[method, ALL][metric].append(value)
    return [
        Row(method, group, len(next(iter(columns.values()))), {name: sum(v) / len(v) for name, v in columns.items()})
        for (method, group), columns in values.items()
    ]
