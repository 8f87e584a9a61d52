"""Fill holes with the mirrored pixel, the mean colour where that is a hole too; learned is how much to trust it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from deformcli.data import Batch, MaskedPictures, Source
from deformcli.recipes import Predictor, Recipe, TrainingConfig


@dataclass(frozen=True)
class MirrorNetConfig:
    """Of the network alone; it is written beside the weights."""

    trust: float = 0.5  # share of the mirrored pixel before training


@dataclass(frozen=True)
class MirrorConfig:
    """Everything that defines a run."""

    training: TrainingConfig = TrainingConfig(steps=200, generator_lr=1e-2)
    generator: MirrorNetConfig = MirrorNetConfig()


class MirrorNet(nn.Module):
    """Picture (N, 3, H, W) in [-1, 1] and known (N, 1, H, W) -> the picture filled."""

    def __init__(self, config: MirrorNetConfig) -> None:
        super().__init__()
        self.trust = nn.Parameter(torch.tensor(config.trust))

    def forward(self, image: Tensor, known: Tensor) -> Tensor:
        mean = (image * known).sum((2, 3), keepdim=True) / known.sum((2, 3), keepdim=True)
        seen = torch.where(known > 0, image, mean)
        return torch.where(known > 0, image, mean + self.trust * (seen.flip(3) - mean))


class MirrorPredictor(Predictor):
    """The network in use."""

    task = "mirror"
    network = MirrorNet
    defaults = MirrorConfig()
    default_weights = "mirror"

    def predict(self, batch: Batch) -> Tensor:
        return self.generator(batch["image"], batch["known"])

    def target(self, batch: Batch) -> Tensor:
        return batch["image"]

    def baselines(self) -> Mapping[str, Callable[[Batch], Tensor]]:
        return {"leave the holes grey": lambda batch: batch["image"] * batch["known"]}

    def groups(self, batch: Batch) -> list[str]:
        return ["thick"] * len(batch["image"])

    def pictures(self, batch: Batch) -> dict[str, Tensor]:
        holes = batch["image"] * batch["known"]
        return {"input": holes, "output": self.predict(batch), "target": batch["image"]}


class MirrorRecipe(Recipe):
    """How it is trained: one loss, no discriminator."""

    predictor = MirrorPredictor
    presets: ClassVar[Mapping[str, MirrorConfig]] = {"best": MirrorConfig()}

    @classmethod
    def dataset(
        cls, config: MirrorConfig, sources: Sequence[Source], split: str, *, size: int, length: int = 0
    ) -> Dataset:
        return MaskedPictures(sources, size, ["strokes:thick"], split, config.training.seed, length)

    def generator_losses(self, batch: Batch, step: int) -> tuple[dict[str, Tensor], Tensor]:
        made = self.generator(batch["image"], batch["known"])
        return {"l1": (made - batch["image"]).abs().mean()}, made
