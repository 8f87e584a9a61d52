"""The two discriminators every recipe plays against, and both sides' terms of the game."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from torch import Tensor, nn

from deformcli import losses
from deformcli.models.discriminators import GapDiscriminator


class GameWeights(Protocol):
    """What a recipe's loss weights have of the game; a discriminator of weight 0 does not take part."""

    @property
    def adversarial(self) -> float: ...
    @property
    def gap(self) -> float: ...


def build_judges(weights: GameWeights, patch: Callable[[], nn.Module]) -> nn.ModuleDict:
    """The discriminators that take part: the recipe's own for patches, and the gap discriminator."""
    judges = nn.ModuleDict()
    if weights.adversarial:
        judges["patch"] = patch()
    if weights.gap:
        judges["gap"] = GapDiscriminator()
    return judges


def fooling_terms(
    judges: nn.ModuleDict,
    weights: GameWeights,
    output: Tensor,
    known: Tensor,
    patch_loss: Callable[[Tensor], Tensor],
    real_known: Tensor | float = 1.0,
) -> dict[str, Tensor]:
    """The generator's weighted terms: its pictures pass for real, and their holes for known.

    Where real pictures are incomplete, the patch discriminator sees their known pixels alone (section 3.2).
    """
    terms = {}
    if "patch" in judges:
        terms["adversarial"] = weights.adversarial * patch_loss(judges["patch"](output * real_known).float())
    if "gap" in judges:
        terms["gap"] = weights.gap * losses.gap_fooling_loss(judges["gap"](output).float(), known.detach())
    return terms


def judging_terms(
    judges: nn.ModuleDict,
    real: Tensor,
    output: Tensor,
    known: Tensor,
    patch_loss: Callable[[Tensor, Tensor], Tensor],
    real_known: Tensor | float = 1.0,
) -> dict[str, Tensor]:
    """The discriminators' terms: tell real pictures' known pixels from made ones, and known pixels from holes."""
    output, terms = output.detach(), {}
    if "patch" in judges:
        real, made = real * real_known, output * real_known
        terms["patch_loss"] = patch_loss(judges["patch"](real).float(), judges["patch"](made).float())
    if "gap" in judges:
        terms["gap_loss"] = losses.gap_loss(judges["gap"](output).float(), known.detach())
    return terms


def gap_guess(judges: nn.ModuleDict, output: Tensor) -> dict[str, Tensor]:
    """A column of pictures: which pixels of the output (N, 3, H, W) the gap discriminator takes for holes, in white."""
    if "gap" not in judges:
        return {}
    guess = judges["gap"](output).float().sigmoid()  # (N, 1, H, W), 1 = known
    return {"guessed holes": as_picture(1 - guess)}


def as_picture(mask: Tensor) -> Tensor:
    """A mask (N, 1, H, W) in 0..1 as grey pictures (N, 3, H, W) in [-1, 1]."""
    return (mask * 2 - 1).expand(-1, 3, -1, -1)
