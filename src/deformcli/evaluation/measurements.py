"""Several methods over the same items: every picture is measured against its truth, and described by networks."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from deformcli.data.loading import Batch, to_device
from deformcli.errors import NothingToDoError
from deformcli.images import dequantize, quantize
from deformcli.recipes.recipe import target_known

TARGET = "target"
Method = Callable[[Batch], Tensor]
"""Makes pictures (N, 3, H, W) in [-1, 1] of a batch."""
BatchMetric = Callable[[Tensor, Tensor, Batch], Tensor]
"""Pictures, true pictures and their batch -> one value per item (N,)."""
Label = Callable[[int], str]
"""The number of an item -> what the data say of it; "" where they say nothing."""
Describer = Callable[[Tensor, Batch, str], Mapping[str, Tensor]]
"""Pictures, their batch and the method that made them ("target": the true ones) -> features (N, K) by name."""
Observer = Callable[[Batch, Mapping[str, Tensor], Mapping[tuple[str, str], Tensor]], None]
"""Shown every batch: the batch, each method's pictures, and the metrics' values by (method, metric)."""


class GroundTruth(Protocol):
    """What knows the true pictures of a batch, and the table row of each item; a `Predictor` does."""

    def target(self, batch: Batch) -> Tensor: ...

    def groups(self, batch: Batch) -> list[str]: ...


@dataclass(frozen=True)
class Measurements:
    """What was measured of every item, in their order: the raw material of every table."""

    groups: list[str]
    """The table row of each item, as the recipe names it."""
    yaws: np.ndarray | None
    """(N,) degrees, where the data has poses."""
    people: np.ndarray
    """(N,) number of the person, or of the picture where the data names no people."""
    values: Mapping[tuple[str, str], np.ndarray]
    """(method, metric) -> (N,)."""
    features: Mapping[tuple[str, str], np.ndarray]
    """(method or "target", name) -> (N, K)."""
    labels: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Name of a label -> (N,) what the data say of each item; "" where they say nothing."""
    paired: bool = True
    """Whether "target" has the truth of each item, and not a set of its own."""


@torch.inference_mode()
def measure(
    truth: GroundTruth,
    batches: Iterable[Batch],
    methods: Mapping[str, Method],
    metrics: Mapping[str, BatchMetric],
    describers: Sequence[Describer] = (),
    *,
    device: torch.device,
    observe: Observer | None = None,
    labels: Mapping[str, Label] = MappingProxyType({}),
) -> Measurements:
    """Run every method over the batches once. Pictures are rounded to 8 bits first, as a file would hold them.

    Of a batch's keys these are known here: `yaw` (degrees), `person` (a number), `item` (its number, by which `labels`
    know it), `target_known` (where it is 0, the true picture is unknown: all pictures are grey there). Metrics and
    describers find the true pictures under "target".

    Raises:
        NothingToDoError: there is no item.
    """
    groups: list[str] = []
    columns: dict[str, list[Tensor]] = defaultdict(list)
    values: dict[tuple[str, str], list[Tensor]] = defaultdict(list)
    features: dict[tuple[str, str], list[Tensor]] = defaultdict(list)
    for batch in batches:
        batch = to_device(batch, device)
        target = truth.target(batch)
        given = target_known(batch, target)
        target = target * given
        images = {name: rounded(method(batch)) * given for name, method in methods.items()}
        batch = {**batch, TARGET: target}
        measured = {(m, k): metric(images[m], target, batch).cpu() for m in methods for k, metric in metrics.items()}

        for key, column in measured.items():
            values[key].append(column)
        for name, image in {**images, TARGET: target}.items():
            for describe in describers:
                for space, description in describe(image, batch, name).items():
                    features[name, space].append(description.float().cpu())
        groups += truth.groups(batch)
        columns["person"].append(batch["person"].cpu() if "person" in batch else _content(target))
        for name in {"yaw", "item"} & batch.keys():
            columns[name].append(batch[name].cpu())
        if observe is not None:
            observe(batch, images, measured)
    if not groups:
        raise NothingToDoError("there is no item to evaluate", "name data that has some")
    return Measurements(
        groups,
        _joined(columns["yaw"]) if columns["yaw"] else None,
        np.unique(_joined(columns["person"]), return_inverse=True)[1],
        {key: _joined(parts).astype(np.float64) for key, parts in values.items()},
        {key: _joined(parts) for key, parts in features.items()},
        {name: np.array([label(item) for item in _joined(columns["item"]).tolist()]) for name, label in labels.items()},
    )


def measure_sets(
    name: str,
    made: Iterable[Batch],
    true: Iterable[Batch],
    truth: GroundTruth,
    describers: Sequence[Describer],
    *,
    device: torch.device,
) -> Measurements:
    """Describe two sets of pictures that belong to no pairs, of any sizes: the one called `name`, and the true one."""
    ours, theirs = (measure(truth, batches, {}, {}, describers, device=device) for batches in (made, true))
    features = {(name, space): described for (_, space), described in ours.features.items()}
    return replace(ours, features={**features, **theirs.features}, paired=False)


def rounded(image: Tensor) -> Tensor:
    """Pictures in [-1, 1] as an 8-bit file gives them back."""
    return dequantize(quantize(image))


def content_hashes(image: Tensor) -> list[bytes]:
    """sha256 of each picture (N, 3, H, W) in [-1, 1], as 8 bits."""
    pixels = quantize(image).cpu().numpy()
    return [hashlib.sha256(f"{picture.shape}".encode() + picture.tobytes()).digest() for picture in pixels]


def _content(target: Tensor) -> Tensor:
    """A number per picture, the same for the same picture: who is in it, for all we know."""
    return torch.tensor([int.from_bytes(digest[:7]) for digest in content_hashes(target)])


def _joined(parts: list[Tensor]) -> np.ndarray:
    return torch.cat(parts).numpy()
