"""A recipe: one task's networks, data and losses behind the few methods that the trainer and evaluator call."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from deformcli.data.sources import Source
from deformcli.errors import UsageError

from .checkpoint import fill_network, load_generator
from .settings import from_dict

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class TrainingConfig:
    """How long and how fast; the defaults are the thesis's (section 4.2.3). Recipes add networks and losses."""

    steps: int = 100_000  # optimizer steps
    max_hours: float = 0.0  # end the run after so many hours, to be resumed; 0 = when the steps are done
    batch_size: int = 16  # items per step, of all processes together
    grad_accum: int = 1  # parts that a process computes its items in, one after the other, to save memory
    size: int = 128  # side of the pictures in pixels
    start_size: int = 0  # their side at first; 0 = `size` from the start
    grow_at: int = 0  # step from which they have their full size
    generator_lr: float = 2e-5  # Adam's learning rate for the generator
    discriminator_lr: float = 1e-5  # and for each discriminator
    warmup: int = 0  # steps over which the generator's rate rises from 0
    decay: bool = False  # let the generator's rate fall to 0 along a cosine
    adversarial_from: int = 0  # step at which the discriminators enter
    ema: float = 0.0  # decay of the generator's running average, which is exported; 0 = none
    clip: float = 0.0  # largest norm of the generator's gradient; 0 = unlimited
    seed: int = 0  # of initial weights and data
    amp: Literal["auto", "bf16", "fp16", "off"] = "auto"  # mixed precision; auto: bf16 where it is fast
    compile: bool = False  # let torch.compile make the networks faster, at the cost of a slow first step
    workers: int = 1  # processes that prepare data, for each process that trains
    log_every: int = 20  # steps between lines of the log
    save_every: int = 500  # steps between checkpoints
    keep: int = 2  # older checkpoints that are kept beside the last and the best
    sample_every: int = 500  # steps between sample grids; 0 = none
    eval_every: int = 500  # steps between measurements on held-out items, which find the best weights; 0 = none
    eval_items: int = 64  # held-out items that are measured


class Recipe(ABC):
    """One task. `generator` makes pictures, `discriminators` judge them; both exist once __init__ has run."""

    name: ClassVar[str]
    presets: ClassVar[Mapping[str, Any]]  # preset name -> frozen config
    default_weights: ClassVar[str]  # id in the manifest

    config: Any
    generator: nn.Module
    discriminators: nn.ModuleDict

    @classmethod
    def from_weights(cls, path: Path) -> Recipe:
        """The recipe around an exported generator, for evaluation: without discriminators and helper networks."""
        state, config = load_generator(path, cls.name)
        first = next(iter(cls.presets.values()))
        recipe = cls(replace(first, generator=from_dict(type(first.generator), config)))
        recipe.discriminators = nn.ModuleDict()
        fill_network(recipe.generator, state, path)
        return recipe

    @abstractmethod
    def __init__(self, config: Any) -> None:
        """Build the networks of a config."""

    def resized(self, size: int) -> Recipe:
        """The same recipe with the same networks, whose `dataset` has pictures of another size."""
        other = copy.copy(self)
        other.config = replace(self.config, training=replace(self.config.training, size=size))
        return other

    @abstractmethod
    def dataset(self, sources: Sequence[Source], split: str, length: int = 0) -> Dataset:
        """Items of a split ("train", "test") from opened data; `length` cuts or repeats a training split."""

    @abstractmethod
    def generator_losses(self, batch: Batch, step: int) -> tuple[dict[str, Tensor], Any]:
        """Weighted terms of the generator's loss at this step, and what it made; None if no pictures yet."""

    @abstractmethod
    def discriminator_losses(self, batch: Batch, made: Any) -> dict[str, Tensor]:
        """Each discriminator's loss on real pictures and on those made."""

    @abstractmethod
    def predict(self, batch: Batch) -> Tensor:
        """The generator's pictures (N, 3, S, S) in [-1, 1] for an evaluation batch."""

    @abstractmethod
    def target(self, batch: Batch) -> Tensor:
        """The true pictures (N, 3, S, S) in [-1, 1]."""

    @abstractmethod
    def baselines(self) -> Mapping[str, Callable[[Batch], Tensor]]:
        """Methods to compare with: name -> function of a batch."""

    def slow_baselines(self) -> Mapping[str, Callable[[Batch], Tensor]]:
        """More of them, which are measured only if they are named."""
        return {}

    @abstractmethod
    def groups(self, batch: Batch) -> list[str]:
        """The table row of each item: the yaw, the kind of mask."""

    def known(self, batch: Batch) -> Tensor:
        """Which pixels (N, 1, S, S) of `predict`'s pictures were given or moved there: 1; those filled: 0."""
        return batch["known"]

    def warps(self, batch: Batch) -> Tensor:
        """The K warped pictures (N, K, 3, S, S) behind `predict`. Raises UsageError if nothing is warped."""
        raise UsageError(f"{self.name}: nothing is warped", "take a recipe or preset that warps")

    @abstractmethod
    def pictures(self, batch: Batch) -> dict[str, Tensor]:
        """Columns of the sample grid, as the generator makes them now: name -> (N, 3, S, S) in [-1, 1]."""


def build_generator(build: Callable[[Any], nn.Module], config_type: type, path: Path, task: str) -> Any:
    """The generator that an exported file describes. Raises WeightsError if it is none, of another task or version."""
    state, config = load_generator(path, task)
    generator = build(from_dict(config_type, config))
    fill_network(generator, state, path)
    return generator


def check_size(size: int, multiple: int) -> None:
    """Raise UsageError unless the networks can halve pictures of this size as often as they do."""
    if size < multiple or size % multiple:
        raise UsageError(
            f"{size} pixels: these networks need a multiple of {multiple}",
            f"use {max(1, round(size / multiple)) * multiple}",
        )


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Let `module` judge without learning: its parameters take no gradient, its inputs still do."""
    parameters = [p for p in module.parameters() if p.requires_grad]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


def target_known(batch: Batch, target: Tensor) -> Tensor:
    """Which pixels (N, 1, H, W) of the true pictures are known, for losses to look at alone (section 3.2)."""
    return batch["target_known"] if "target_known" in batch else torch.ones_like(target[:, :1])


def to_device(batch: Batch, device: torch.device) -> Batch:
    return {key: value.to(device, non_blocking=True) for key, value in batch.items()}
