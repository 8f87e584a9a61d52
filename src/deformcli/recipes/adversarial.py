"""The two discriminators that recipes train their generators against, and both sides' loss terms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from torch import Tensor, nn

from deformcli import losses
from deformcli.models.discriminators import GapDiscriminator


class AdversarialWeights(Protocol):
    """The weights of the generator's adversarial terms; a discriminator of weight 0 does not take part."""

    @property
    def adversarial(self) -> float: ...
    @property
    def gap(self) -> float: ...


def build_discriminators(weights: AdversarialWeights, patch: Callable[[], nn.Module]) -> nn.ModuleDict:
    """The discriminators that take part: the recipe's own for patches, and the gap discriminator."""
    discriminators = nn.ModuleDict()
    if weights.adversarial:
        discriminators["patch"] = patch()
    if weights.gap:
        discriminators["gap"] = GapDiscriminator()
    return discriminators


def generator_terms(
    discriminators: nn.ModuleDict,
    weights: AdversarialWeights,
    output: Tensor,
    known: Tensor,
    patch_loss: Callable[[Tensor], Tensor],
    shown: Tensor | float = 1.0,
) -> dict[str, Tensor]:
    """The generator's weighted terms: its pictures pass for real, and their holes for known.

    Where real pictures are incomplete, the patch discriminator sees their known pixels alone (section 3.2): `shown`.
    """
    terms = {}
    if "patch" in discriminators:
        fake = discriminators["patch"](output * shown).float()
        terms["adversarial"] = weights.adversarial * patch_loss(fake)
    if "gap" in discriminators:
        guess = discriminators["gap"](output).float()
        terms["gap"] = weights.gap * losses.gap_fooling_loss(guess, known.detach())
    return terms


def discriminator_terms(
    discriminators: nn.ModuleDict,
    real: Tensor,
    output: Tensor,
    known: Tensor,
    patch_loss: Callable[[Tensor, Tensor], Tensor],
    shown: Tensor | float = 1.0,
) -> dict[str, Tensor]:
    """The discriminators' terms: tell real pictures (M, 3, H, W) from made ones, and known pixels from holes.

    Real pictures' unknown pixels are 0; `shown` is 0 at the same pixels of made ones.
    """
    output, terms = output.detach(), {}
    if "patch" in discriminators and len(real):
        made, real = (discriminators["patch"](image).float() for image in (output * shown, real))
        terms["patch_loss"] = patch_loss(real, made)
    if "gap" in discriminators:
        terms["gap_loss"] = losses.gap_loss(discriminators["gap"](output).float(), known.detach())
    return terms


def guessed_holes(discriminators: nn.ModuleDict, columns: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A further column of a sheet: what of "output" (N, 3, H, W) the gap discriminator takes for holes, in white."""
    if "gap" not in discriminators:
        return {}
    known = discriminators["gap"](columns["output"]).float().sigmoid()  # (N, 1, H, W), 1 = known
    return {"guessed holes": as_picture(1 - known)}


def as_picture(mask: Tensor) -> Tensor:
    """A mask (N, 1, H, W) in 0..1 as grey pictures (N, 3, H, W) in [-1, 1]."""
    return (mask * 2 - 1).expand(-1, 3, -1, -1)
