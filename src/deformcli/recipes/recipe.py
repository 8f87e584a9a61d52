"""A recipe: one task's networks, data and losses behind the few methods that the trainer calls."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from deformcli.data.loading import Batch
from deformcli.data.sources import Source
from deformcli.data.spec import open_source
from deformcli.errors import UsageError

from .predictor import Predictor


@dataclass(frozen=True)
class TrainingConfig:
    """How long and how fast; the defaults are the thesis's (section 4.2.3). Recipes add networks and losses.

    Raises ValueError naming a field out of its range.
    """

    steps: int = 100_000  # optimizer steps
    max_hours: float = 0.0  # end the run after so many hours, to be resumed; 0 = when the steps are done
    batch_size: int = 16  # items per step, of all processes together
    grad_accum: int = 1  # parts that a process computes its items in, to save memory; BatchNorm is each part's own
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
    eval_every: int = 500  # steps between measurements on the validation split, which find the best weights; 0 = none
    eval_items: int = 64  # items of it that are measured

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            least = int(name in ("steps", "batch_size", "grad_accum", "size", "eval_items"))
            if not isinstance(value, str) and not least <= value < math.inf:
                raise ValueError(f"{name} is at least {least}")
        if self.ema > 1:
            raise ValueError("ema is at most 1")


class Recipe(ABC):
    """What a task trains: a generator that makes pictures, discriminators that tell them from real ones, their losses.

    Args:
        config: of a run; the networks are built from its seed. Recipes with discriminators add them.
    """

    predictor: ClassVar[type[Predictor]]  # the generator in use
    presets: ClassVar[Mapping[str, Any]]  # preset name -> frozen config

    def __init__(self, config: Any) -> None:
        torch.manual_seed(config.training.seed)
        self.config = config
        self.generator = self.predictor.network(config.generator)
        self.discriminators = nn.ModuleDict()
        self.notes: list[str] = []  # what the user should know of it

    @classmethod
    @abstractmethod
    def dataset(cls, config: Any, sources: Sequence[Source], split: str, *, size: int, length: int = 0) -> Dataset:
        """Items of a split ("train", "validation", "test") from opened data.

        Args:
            config: of a run; what it says of the data counts, but for the size.
            sources: what `--data` opened.
            split: its part.
            size: side of the pictures in pixels.
            length: cuts or repeats a training split; 0: as many as there are.

        Raises:
            UsageError: data or a size that the recipe cannot use.
        """

    @abstractmethod
    def generator_losses(self, batch: Batch, step: int) -> tuple[dict[str, Tensor], Any]:
        """Weighted terms of the generator's loss at this step, and what it made; None if no pictures yet."""

    def discriminator_losses(self, batch: Batch, made: Any) -> dict[str, Tensor]:
        """Each discriminator's loss on real pictures and on those made; called where there are discriminators."""
        return {}


def open_items(
    recipe: Recipe | type[Recipe], config: Any, specs: Sequence[str], split: str, *, size: int = 0, length: int = 0
) -> Dataset:
    """`recipe.dataset` of what `--data` said, once or several times; `size` 0: the config's.

    Raises:
        UsageError: see `open_source`, and what the recipe cannot use.
    """
    sources = [open_source(spec, split) for spec in specs]
    return recipe.dataset(config, sources, split, size=size or config.training.size, length=length)


def check_size(size: int, multiple: int) -> None:
    """Raise UsageError unless the networks can halve pictures of this size as often as they do."""
    if size < multiple or size % multiple:
        raise UsageError(
            f"{size} pixels: these networks need a multiple of {multiple}",
            f"use {max(1, round(size / multiple)) * multiple}",
        )


def target_known(batch: Batch, target: Tensor) -> Tensor:
    """Which pixels (N, 1, H, W) of the true pictures are known, for losses to look at alone (section 3.2)."""
    return batch["target_known"] if "target_known" in batch else torch.ones_like(target[:, :1])
