"""Metrics of three kinds, by what they are measured of; docs/evaluation.md says what each means."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn

from deformcli import metrics, registry
from deformcli.data.loading import Batch
from deformcli.metrics.fidelity import frechet_distance, inception_score, kernel_distance
from deformcli.metrics.perceptual import perceptual_distance
from deformcli.metrics.recognition import identity_cosine, rank1
from deformcli.recipes import target_known

from .gap import gap_auc
from .measurements import TARGET, BatchMetric, Measurements

OfHoles = Callable[[Tensor, Tensor, Tensor], Tensor]
SetFunction = Callable[[Measurements, str, np.ndarray], float]
HOLES: Mapping[str, OfHoles] = {"hole-mse": metrics.hole_mse, "hole-psnr": metrics.hole_psnr}
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
    """Measured of the features of all items of a method together, one number (N,) for each."""

    column: Column
    of_items: Callable[[Measurements, str], np.ndarray]


@dataclass(frozen=True)
class SetMetric:
    """One number for a set of items, by a method's features of those that a (N,) bool array marks."""

    column: Column
    of_set: SetFunction


def plain_metric(name: str) -> ItemMetric:
    """A metric of pictures against their truth, ours or a plugin's."""
    if name in HOLES:
        return ItemMetric(Column(name, name == "hole-mse"), _of_holes(HOLES[name]))
    function = metrics.METRICS.get(name) or registry.resolve(registry.metrics()[name])
    lower = getattr(function, "lower_is_better", name in metrics.LOWER_IS_BETTER)
    return ItemMetric(Column(name, lower), lambda image, target, batch: function(image, target))


def _of_holes(function: OfHoles) -> BatchMetric:
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


def identity_metric(name: str, network: str, space: str) -> FeatureMetric:
    """`identity` or `rank1`, of the face embeddings in `space`."""

    def of_items(found: Measurements, method: str) -> np.ndarray:
        own, true = found.features[method, space], found.features[TARGET, space]
        return identity_cosine(own, true) if name == "identity" else rank1(own, true, found.people)

    return FeatureMetric(Column(name, False, network), of_items)


def perceptual_metric(network: str, features: nn.Module) -> ItemMetric:
    """Distance in the feature maps that a network makes of pictures."""
    true_features = lru_cache(1)(features)  # the methods are measured one after another against the same pictures

    def of_batch(image: Tensor, target: Tensor, batch: Batch) -> Tensor:
        return perceptual_distance(features(image), true_features(target))

    return ItemMetric(Column("perceptual", True, network), of_batch)


def inception_metric(name: str, network: str) -> SetMetric:
    """`fid`, `kid` or `is`, of the features "inception" and "logits"."""
    of_set: SetFunction = {
        "fid": _distance(frechet_distance, "inception"),
        "kid": _distance(kernel_distance, "inception"),
        "is": lambda found, method, members: inception_score(found.features[method, "logits"][members]),
    }[name]
    return SetMetric(Column(name, name != "is", network), of_set)


def frechet_metric(network: str, space: str) -> SetMetric:
    """A Frechet distance in the space of another network, named after it: it is no FID."""
    return SetMetric(Column(space, True, network), _distance(frechet_distance, space))


def _distance(between: Callable[[np.ndarray, np.ndarray], float], space: str) -> SetFunction:
    def of_set(found: Measurements, method: str, members: np.ndarray) -> float:
        if members.sum() < 2:
            return float("nan")
        return between(found.features[method, space][members], found.features[TARGET, space][members])

    return of_set
