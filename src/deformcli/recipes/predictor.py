"""A network in use: what it makes of a batch, what that should have been, and what else could have made it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self

from torch import Tensor, nn

from deformcli.data.loading import Batch
from deformcli.errors import UsageError
from deformcli.weights.networks import fill_network, from_dict, load_generator

from .settings import override


class Predictor(ABC):
    """One task's network in use, as it is evaluated and shown.

    Args:
        generator: the network, on its device and in the mode it is to be used in.
        config: of the run; most of it matters to training alone.
    """

    task: ClassVar[str]  # the recipe's name, which its weights carry
    network: ClassVar[Callable[[Any], nn.Module]]  # builds the generator of a `config.generator`
    defaults: ClassVar[Any]  # the frozen config that a network is evaluated by
    default_weights: ClassVar[str]  # id in the manifest

    def __init__(self, generator: nn.Module, config: Any) -> None:
        self.generator, self.config = generator, config

    @classmethod
    def from_weights(cls, path: Path, changes: Sequence[str] = ()) -> Self:
        """The network of an exported file, ready for use; `changes` to `defaults` are written as in `--set`.

        Raises:
            WeightsError: the file is none, damaged, or of another task or version.
            UsageError: a change that cannot be made.
        """
        state, generator = load_generator(path, cls.task)
        described = replace(cls.defaults, generator=from_dict(type(cls.defaults.generator), generator))
        config = override(described, changes)
        network = cls.network(config.generator)
        fill_network(network, state, path)
        return cls(network.eval(), config)

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

    @abstractmethod
    def pictures(self, batch: Batch) -> dict[str, Tensor]:
        """Columns of a sheet of samples: name -> (N, 3, S, S) in [-1, 1]; "input", "output", "target" among them."""

    def known(self, batch: Batch) -> Tensor:
        """Which pixels (N, 1, S, S) of `predict`'s pictures were given or moved there: 1; those filled: 0."""
        return batch["known"]

    def warps(self, batch: Batch) -> Tensor:
        """The K warped pictures (N, K, 3, S, S) behind `predict`. Raises UsageError if nothing is warped."""
        raise UsageError(f"{self.task}: nothing is warped", "take a recipe or preset that warps")
