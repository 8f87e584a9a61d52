"""Fill holes with the mirrored pixel, the mean colour where that is a hole too; learned is how much to trust it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from deformcli.data.loading import Batch
from deformcli.data.masked import MaskedPictures
from deformcli.data.sources import Source
from deformcli.recipes.recipe import Recipe, TrainingConfig


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


class MirrorRecipe(Recipe):
    """One network, no discriminator."""

    name = "mirror"
    default_weights = "mirror"
    presets: ClassVar[Mapping[str, MirrorConfig]] = {"best": MirrorConfig()}

    def __init__(self, config: MirrorConfig) -> None:
        self.config, self.generator, self.discriminators = config, MirrorNet(config.generator), nn.ModuleDict()

    def dataset(self, sources: Sequence[Source], split: str, length: int = 0) -> Dataset:
        training = self.config.training
        return MaskedPictures(sources, training.size, ["strokes:thick"], split, training.seed, length)

    def generator_losses(self, batch: Batch, step: int) -> tuple[dict[str, Tensor], Tensor]:
        made = self.generator(batch["image"], batch["known"])
        return {"l1": (made - batch["image"]).abs().mean()}, made

    def discriminator_losses(self, batch: Batch, made: Tensor) -> dict[str, Tensor]:
        return {}

    def predict(self, batch: Batch) -> Tensor:
        return self.generator(batch["image"], batch["known"])

    def target(self, batch: Batch) -> Tensor:
        return batch["image"]

    def baselines(self) -> Mapping[str, Callable[[Batch], Tensor]]:
        return {"leave the holes grey": lambda batch: batch["image"] * batch["known"]}

    def groups(self, batch: Batch) -> list[str]:
        return ["thick"] * len(batch["image"])

    def pictures(self, batch: Batch, made: Tensor) -> dict[str, Tensor]:
        return {"holes": batch["image"] * batch["known"], "output": made, "target": batch["image"]}
