"""What is compared: networks by their weights, and baselines that need none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from deformcli.data.spec import open_items
from deformcli.engine.evaluator import TARGET, Method
from deformcli.engine.recipe import Batch, Recipe
from deformcli.engine.settings import override
from deformcli.errors import UsageError
from deformcli.weights import file_sha256, resolve_weights

MEAN, MEAN_OF = "mean", 200  # training pictures that the baseline `mean` averages


def open_tasks(
    kind: Any, weights: Sequence[str], changes: Sequence[str], device: torch.device, offline: bool
) -> tuple[dict[str, Recipe], dict[str, str]]:
    """The recipe around each of the weights, by a short name, and the sha256 of each file.

    `changes` are made to every config. Raises WeightsError, or UsageError for a change that cannot be made.
    """
    paths = {name: resolve_weights(name, task=kind.name, offline=offline) for name in weights}
    tasks: list[Recipe] = [kind.from_weights(path) for path in paths.values()]
    for task in tasks:
        task.config = override(task.config, changes)
        task.generator.to(device).eval()
    labels = _labels(paths, {TARGET, MEAN, *tasks[0].baselines(), *tasks[0].slow_baselines()})
    hashes = map(file_sha256, paths.values())
    return dict(zip(labels, tasks, strict=True)), dict(zip(labels, hashes, strict=True))


def _labels(paths: dict[str, Path], taken: set[str]) -> list[str]:
    """An id as it is; of a file its name, or that of the run it is in; as given where those are taken or not unique."""
    short = [
        name if name != str(path) else path.parent.name if path.stem == "weights" else path.stem
        for name, path in paths.items()
    ]
    return [
        label if label and label not in taken and short.count(label) == 1 else name
        for name, label in zip(paths, short, strict=True)
    ]


def choose_baselines(
    task: Recipe, names: Sequence[str] | None, data: Sequence[str], device: torch.device
) -> dict[str, Method]:
    """Baselines of that name; None: all that the recipe has and are not slow. Raises UsageError for an unknown one."""
    usual = task.baselines()
    methods = {**usual, **task.slow_baselines()}
    known: dict[str, Callable[[], Method]] = {name: lambda m=method: m for name, method in methods.items()}
    chosen = list(usual) if names is None else list(dict.fromkeys(names))
    known[MEAN] = lambda: _mean_picture(task, data, device)
    if unknown := [name for name in chosen if name not in known]:
        raise UsageError(f"{task.name} has no baseline {unknown[0]!r}", f"known: {', '.join(known)}")
    return {name: known[name]() for name in chosen}


def _mean_picture(task: Recipe, data: Sequence[str], device: torch.device) -> Method:
    """The mean true picture of the training split; where an item's pixels are known, those."""
    total, count = torch.zeros(()), 0
    for batch in DataLoader(open_items(task, data, "train", MEAN_OF), batch_size=20):
        target = task.target(batch)
        total, count = total + target.sum(0), count + len(target)
    mean = (total / count).to(device)

    def predict(batch: Batch) -> Tensor:
        target = task.target(batch)
        picture = mean.expand_as(target)
        return torch.where(batch["known"] > 0, target, picture) if "known" in batch else picture

    return predict
