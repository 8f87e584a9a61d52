"""Metrics of three kinds, by what they are measured of, and those that need no network."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from deformcli import metrics, registry
from deformcli.data.loading import Batch
from deformcli.recipes import target_known

from .gap import gap_auc
from .measurements import TARGET, BatchMetric, Measurements

OfItems = Callable[[Measurements, str], np.ndarray]
"""Of a method's features of all items together: (N,)."""
OfSet = Callable[[Measurements, str, np.ndarray], float]
"""Of a method's features of the items that a (N,) bool array marks."""
HOLES = {"hole-mse": metrics.hole_mse, "hole-psnr": metrics.hole_psnr}
SHARPNESS = {"hole-sharpness": metrics.hole_sharpness}
"""Of holes too, if it is named."""
GAPS = {"gap-auc": True, "gap-auc-true": False}
"""Metrics of a gap discriminator trained anew, and whether it is shown the method's pictures or the true ones."""


@dataclass(frozen=True)
class Column:
    """A metric as tables show it."""

    name: str
    lower_is_better: bool
    network: str = ""
    """The id of the network that it is measured with, or nothing."""

    @property
    def title(self) -> str:
        return f"{self.name} {'↓' if self.lower_is_better else '↑'}"


@dataclass(frozen=True)
class ItemMetric:
    """Measured of each batch as it passes."""

    column: Column
    of_batch: BatchMetric

    def of_items(self, found: Measurements, method: str) -> np.ndarray:
        """(N,), as they were measured."""
        return found.values[method, self.column.name]


@dataclass(frozen=True)
class FeatureMetric:
    """Measured when all items have passed, by their features."""

    column: Column
    of_items: OfItems


@dataclass(frozen=True)
class SetMetric:
    """Measured of a set of items by their features; of single items there is no number."""

    column: Column
    of_set: OfSet


def plain_metric(name: str) -> ItemMetric:
    """A metric of pictures against their truth, ours or a plugin's."""
    if of_holes := {**HOLES, **SHARPNESS}.get(name):
        return ItemMetric(Column(name, name == "hole-mse"), _of_holes(of_holes))
    function = metrics.METRICS.get(name) or registry.resolve(registry.metrics()[name])
    lower = getattr(function, "lower_is_better", name in metrics.LOWER_IS_BETTER)
    return ItemMetric(Column(name, lower), lambda image, target, batch: function(image, target))


def _of_holes(function: Callable[[Tensor, Tensor, Tensor], Tensor]) -> BatchMetric:
    def of_batch(image: Tensor, target: Tensor, batch: Batch) -> Tensor:
        unknown = 1 - target_known(batch, target)  # no hole: nobody knows what belongs there
        return function(image, target, batch["known"].maximum(unknown))

    return of_batch


def gap_metric(name: str, space: str, seed: int, device: torch.device) -> FeatureMetric:
    """One of GAPS, of the features (N, 4, H, W) in `space`: pictures, and which of their pixels are known."""
    by_holes: dict[bytes, np.ndarray] = {}  # all methods that got their holes with the pictures have the same

    def of_items(found: Measurements, method: str) -> np.ndarray:
        if (method, space) not in found.features:
            return np.full(len(found.people), np.nan)
        made, true = (torch.from_numpy(found.features[one, space]) for one in (method, TARGET))
        known = made[:, 3:]
        if GAPS[name]:
            return gap_auc(made[:, :3], known, found.people, seed, device)
        holes = hashlib.sha256(known.numpy().tobytes()).digest()
        if holes not in by_holes:
            by_holes[holes] = gap_auc(true[:, :3], known, found.people, seed, device)
        return by_holes[holes]

    return FeatureMetric(Column(name, True), of_items)
