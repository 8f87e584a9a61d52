"""The game against the gap discriminator on a toy: the discriminator loses it, and without it nothing changes."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import mean

import pytest
import torch
from torch import nn

from deformcli import losses
from deformcli.recipes.adversarial import build_discriminators, discriminator_terms, generator_terms
from deformcli.recipes.recipe import TrainingConfig
from deformcli.training.processes import Processes
from deformcli.training.step import TrainingStep

STEPS = 150


@dataclass(frozen=True)
class Weights:
    adversarial: float = 0.0
    gap: float = 1.0


class OffColour(nn.Module):
    """Fills holes with noise like that around them, but for a colour that it has to unlearn."""

    def __init__(self) -> None:
        super().__init__()
        self.colour = nn.Parameter(torch.tensor([0.8, -0.8, 0.8]))

    def forward(self, image: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
        return image + (1 - known) * self.colour.view(3, 1, 1)


class Toy:
    """What `TrainingStep` needs of a recipe; its pictures are noise."""

    def __init__(self, weights: Weights) -> None:
        torch.manual_seed(0)
        training = TrainingConfig(steps=STEPS, generator_lr=0.02, discriminator_lr=1e-3, amp="off")
        self.config = type("Config", (), {"training": training, "losses": weights})
        self.generator, self.discriminators = OffColour(), build_discriminators(weights, nn.Identity)

    def generator_losses(self, batch, step):
        made = self.generator(batch["image"], batch["known"])
        nothing = {"none": 0 * made.mean()}
        return nothing | generator_terms(self.discriminators, self.config.losses, made, batch["known"], None), made

    def discriminator_losses(self, batch, made):
        return discriminator_terms(self.discriminators, batch["image"], made, batch["known"], losses.real_fake_loss)


def play(weights: Weights) -> tuple[list[float], float]:
    """The gap discriminator's loss at each step, and how far the colour of holes is off in the end."""
    recipe, random = Toy(weights), torch.Generator().manual_seed(0)
    training_step, told = TrainingStep(recipe, Processes(torch.device("cpu"))), []
    for step in range(STEPS):
        image = torch.randn(4, 3, 16, 16, generator=random) * 0.2
        known = (torch.rand(4, 1, 4, 4, generator=random) > 0.4).float().repeat_interleave(4, 2).repeat_interleave(4, 3)
        told.append(training_step({"image": image, "known": known}, step).get("gap_loss", 0.0))
    return told, float(recipe.generator.colour.detach().abs().max())


def test_the_gap_discriminator_loses_to_the_generator():
    told, off = play(Weights())
    surest = min(mean(told[i : i + 10]) for i in range(STEPS // 2))
    assert surest < 0.7, "it never knew holes from the rest: two classes cost 2 ln 2 = 1.39 to guess"
    assert mean(told[-10:]) > surest + 0.4
    assert off < 0.4, "it began at 0.8; how near to 0 it gets in so few steps differs between CPUs"


def test_without_the_gap_discriminator_holes_stay_as_they_are():
    told, off = play(Weights(gap=0.0))
    assert set(told) == {0.0}
    assert off == pytest.approx(0.8)
