"""A recipe: one task's networks, data and losses behind the few methods that the trainer and evaluator call."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args, get_origin, get_type_hints

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from deformcli.errors import UsageError, WeightsError

from .checkpoint import fill_network, load_generator

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class TrainingConfig:
    """How long and how fast; the defaults are the thesis's (section 4.2.3). Recipes add networks and losses."""

    steps: int = 100_000  # optimizer steps
    batch_size: int = 16  # items per step
    size: int = 128  # side of the pictures in pixels
    generator_lr: float = 2e-5  # Adam's learning rate for the generator
    discriminator_lr: float = 1e-5  # and for each discriminator
    warmup: int = 0  # steps over which the generator's rate rises from 0
    decay: bool = False  # let the generator's rate fall to 0 along a cosine
    adversarial_from: int = 0  # step at which the discriminators enter
    ema: float = 0.0  # decay of the generator's running average, which is exported; 0 = none
    clip: float = 0.0  # largest norm of the generator's gradient; 0 = unlimited
    seed: int = 0  # of initial weights and data
    amp: Literal["auto", "bf16", "off"] = "auto"  # mixed precision; auto: bf16 where it is fast
    workers: int = 1  # processes that prepare data
    log_every: int = 20  # steps between lines of the log
    save_every: int = 500  # steps between checkpoints
    sample_every: int = 500  # steps between sample grids


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
        """The recipe around an exported generator, for evaluation: discriminators untrained, no helper networks."""
        state, config = load_generator(path, cls.name)
        first = next(iter(cls.presets.values()))
        recipe = cls(replace(first, generator=from_dict(type(first.generator), config)))
        fill_network(recipe.generator, state, path)
        return recipe

    @abstractmethod
    def __init__(self, config: Any) -> None:
        """Build the networks of a config."""

    @abstractmethod
    def dataset(self, sources: Sequence[tuple[str, Path]], split: str, length: int = 0) -> Dataset:
        """Items of a split ("train", "test") from (kind, root) pairs; `length` cuts or repeats a training split."""

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

    @abstractmethod
    def groups(self, batch: Batch) -> list[str]:
        """The table row of each item: the yaw, the kind of mask."""

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


def override(config: Any, assignments: Sequence[str]) -> Any:
    """Apply "key=value" or "section.key=value" to a frozen config. Raises UsageError naming the key."""
    for assignment in assignments:
        key, separator, text = assignment.partition("=")
        if not separator:
            raise UsageError(f"--set {assignment}: expected key=value", "write for example --set batch_size=8")
        config = _replace(config, key.split("."), text, key)
    return config


def _replace(config: Any, path: Sequence[str], text: str, key: str) -> Any:
    fields = {field.name for field in dataclasses.fields(config)}
    if path[0] not in fields:
        raise UsageError(f"--set {key}: no field {path[0]!r}", f"fields are: {', '.join(sorted(fields))}")
    value = getattr(config, path[0])
    if dataclasses.is_dataclass(value) != (len(path) > 1):
        problem = "has no fields" if len(path) > 1 else f"has fields: {', '.join(vars(value))}"
        raise UsageError(f"--set {key}: {path[0]} {problem}", "see --show-config for all keys")
    if len(path) > 1:
        return dataclasses.replace(config, **{path[0]: _replace(value, path[1:], text, key)})
    try:
        return dataclasses.replace(config, **{path[0]: _parse(text, get_type_hints(type(config))[path[0]])})
    except ValueError as error:
        raise UsageError(f"--set {key}={text}: {error}", f"it is now {value!r}") from error


def _parse(text: str, kind: Any) -> Any:
    """`text` as a value of type `kind`. Raises ValueError saying what was expected."""
    if get_origin(kind) is Literal:
        if text not in get_args(kind):
            raise ValueError(f"{text!r} is none of {', '.join(get_args(kind))}")
        return text
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise ValueError(f"{text!r} is not true or false")
        return text.lower() == "true"
    if get_origin(kind) is tuple:
        return tuple(_parse(part, get_args(kind)[0]) for part in text.split(","))
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"{text!r} is no {kind.__name__}") from None


def from_dict(kind: type, values: Mapping[str, Any]) -> Any:
    """A frozen config back from `dataclasses.asdict`, as weights carry it. Raises WeightsError naming unknown keys."""
    hints = get_type_hints(kind)
    unknown = set(values) - set(hints)
    if unknown:
        remedy = "use weights written by this version of deform"
        raise WeightsError(f"the weights' config has an unknown field {sorted(unknown)[0]!r}", remedy)
    restored = {}
    for key, value in values.items():
        hint = hints[key]
        if dataclasses.is_dataclass(hint):
            value = from_dict(hint, value)  # type: ignore[arg-type]
        restored[key] = tuple(value) if isinstance(value, list) else value
    return kind(**restored)


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


def to_device(batch: Batch, device: torch.device) -> Batch:
    return {key: value.to(device, non_blocking=True) for key, value in batch.items()}
