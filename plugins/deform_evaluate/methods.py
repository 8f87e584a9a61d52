"""What is compared, networks by their weights and baselines that need none; and by which labels of items."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from deformcli.data import Batch
from deformcli.errors import UsageError
from deformcli.evaluation import TARGET, Label, Method
from deformcli.recipes import Predictor, Recipe, open_items
from deformcli.runs import WEIGHTS
from deformcli.weights import file_sha256, resolve_weights

MEAN, MEAN_OF = "mean", 200  # training pictures that the baseline `mean` averages


def open_predictors(
    kind: type[Recipe], weights: Sequence[str], changes: Sequence[str], device: torch.device, offline: bool
) -> tuple[dict[str, Predictor], dict[str, str]]:
    """Each of the weights in use, by a short name, and the sha256 of each file.

    `changes` are made to every config. Raises WeightsError, or UsageError for a change that cannot be made.
    """
    paths = {name: resolve_weights(name, task=kind.predictor.task, offline=offline) for name in weights}
    predictors = [kind.predictor.from_weights(path, changes) for path in paths.values()]
    for predictor in predictors:
        predictor.generator.to(device)
    labels = _labels(paths, {TARGET, MEAN, *predictors[0].baselines(), *predictors[0].slow_baselines()})
    hashes = map(file_sha256, paths.values())
    return dict(zip(labels, predictors, strict=True)), dict(zip(labels, hashes, strict=True))


def _labels(paths: dict[str, Path], taken: set[str]) -> list[str]:
    """An id as it is; of a file its name, or that of the run it is in; as given where those are taken or not unique."""
    short = [
        name if name != str(path) else path.parent.name if path.name == WEIGHTS else path.stem
        for name, path in paths.items()
    ]
    return [
        label if label and label not in taken and short.count(label) == 1 else name
        for name, label in zip(paths, short, strict=True)
    ]


def choose_baselines(
    kind: type[Recipe], predictor: Predictor, names: Sequence[str] | None, data: Sequence[str], device: torch.device
) -> dict[str, Method]:
    """Baselines of that name; None: all that the task has and are not slow. Raises UsageError for an unknown one."""
    usual = predictor.baselines()
    methods = {**usual, **predictor.slow_baselines()}
    known: dict[str, Callable[[], Method]] = {name: lambda m=m: m for name, m in methods.items()}
    chosen = list(usual) if names is None else list(dict.fromkeys(names))
    known[MEAN] = lambda: _mean_picture(kind, predictor, data, device)
    if unknown := [name for name in chosen if name not in known]:
        raise UsageError(f"{predictor.task} has no baseline {unknown[0]!r}", f"known: {', '.join(known)}")
    return {name: known[name]() for name in chosen}


def _mean_picture(kind: type[Recipe], predictor: Predictor, data: Sequence[str], device: torch.device) -> Method:
    """The mean true picture of the training split; where an item's pixels are known, those."""
    total, count = torch.zeros(()), 0
    for batch in DataLoader(open_items(kind, predictor.config, data, "train", length=MEAN_OF), batch_size=20):
        target = predictor.target(batch)
        total, count = total + target.sum(0), count + len(target)
    mean = (total / count).to(device)

    def predict(batch: Batch) -> Tensor:
        target = predictor.target(batch)
        picture = mean.expand_as(target)
        return torch.where(batch["known"] > 0, target, picture) if "known" in batch else picture

    return predict


def find_labels(items: Any, by: Sequence[str]) -> Mapping[str, Label]:
    """The labels named, each once. Raises UsageError for one that no item has."""

    def labels(index: int) -> Mapping[str, str]:
        return items.labels(index) if hasattr(items, "labels") else {}  # the items of other plugins may have none

    known = {name: None for index in range(len(items) if by else 0) for name in labels(index)}
    for name in by:
        if name not in known:
            remedy = (
                f"labels are: {', '.join(known)}" if known else "see docs/evaluation.md for the table they come from"
            )
            raise UsageError(f"--by {name}: no picture has such a label", remedy)
    return {name: lambda index, name=name: labels(index).get(name, "") for name in by}
