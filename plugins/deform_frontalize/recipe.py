"""Training the frontalizer: the losses of section 3.3, and what goes beyond them in the preset `best`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from deformcli import losses
from deformcli.data import Batch, FacePairs, Pairs, Source
from deformcli.errors import UsageError
from deformcli.faces import face_view
from deformcli.models import CompactVGG19Features, FacePatchDiscriminator, MobileFaceNet
from deformcli.recipes import (
    Recipe,
    build_discriminators,
    check_size,
    discriminator_terms,
    generator_terms,
    helper_network,
    target_known,
)

from .config import PRESETS, FrontalizeConfig
from .networks import Frontalized
from .predictor import FrontalizePredictor


class FrontalizeRecipe(Recipe):
    """Turned face -> frontal face."""

    predictor = FrontalizePredictor
    presets = PRESETS

    def __init__(self, config: FrontalizeConfig) -> None:
        super().__init__(config)
        self.discriminators = build_discriminators(config.losses, FacePatchDiscriminator)
        self.embedder = helper_network(
            config, "identity_weights", ("identity", "cosine_identity"), MobileFaceNet, self.notes
        )
        self.vgg = helper_network(config, "perceptual_weights", ("perceptual",), CompactVGG19Features, self.notes)

    @classmethod
    def dataset(
        cls, config: FrontalizeConfig, sources: Sequence[Source], split: str, *, size: int, length: int = 0
    ) -> Dataset:
        for source in sources:
            if not isinstance(source.data, Pairs):
                remedy = "use data of that kind, such as rotated:PATH"
                raise UsageError(f"--data {source.spec}: frontalize needs pairs of turned and frontal faces", remedy)
        check_size(size, config.generator.multiple)
        return FacePairs(sources, size, split, config.training.seed, length, config.max_yaw)

    def generator_losses(self, batch: Batch, step: int) -> tuple[dict[str, Tensor], Frontalized | None]:
        if step < self.config.flow_warmup and _exact(batch).any():  # without exact flows there is no warm-up
            flow, visibility = self.generator.regress(batch["image"])
            return self._warp_terms(batch, flow, visibility), None
        weights, target = self.config.losses, batch["target"]
        given = target_known(batch, target)
        made = self.generator(batch["image"])
        care = given * (weights.background + (1 - weights.background) * batch["face"])
        terms = self._warp_terms(batch, made.flow, made.visibility)
        terms["pix1"] = weights.pix1 * losses.pixel_loss(made.warped, target, made.known * care)
        terms["pix2"] = weights.pix2 * losses.pixel_loss(made.output, target, care)
        if weights.gradient:
            terms["gradient"] = weights.gradient * losses.gradient_loss(made.output, target, care)
        if self.vgg is not None:
            terms["perceptual"] = weights.perceptual * self._perceptual(made.output, target, care)
        paired, shown = _shown(given)
        if self.embedder is not None:  # a face without a frontal picture is still who it is from the side
            terms |= self._identity(made.output * shown, torch.where(paired, target * given, batch["image"]))
        if step >= self.config.training.adversarial_from:
            terms |= generator_terms(self.discriminators, weights, made.output, made.known, losses.fooling_loss, shown)
        return terms, made

    def _warp_terms(self, batch: Batch, flow: Tensor, visibility: Tensor | None) -> dict[str, Tensor]:
        weights = self.config.losses
        terms = {"rigidity": weights.rigidity * losses.rigidity_loss(flow)}
        if weights.flow and batch["seen"].any():
            terms["flow"] = weights.flow * losses.flow_loss(flow, batch["flow"], batch["seen"])
        exact = _exact(batch)
        if weights.visibility and visibility is not None and exact.any():
            doubt = F.binary_cross_entropy_with_logits(visibility, batch["seen"], reduction="none")
            terms["visibility"] = weights.visibility * losses.masked_mean(doubt, exact)
        return terms

    def _perceptual(self, output: Tensor, target: Tensor, care: Tensor) -> Tensor:
        with torch.no_grad():
            wanted = self.vgg(target)
        return losses.feature_loss(self.vgg(output), wanted, care)

    def _identity(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        """On a quarter of the batch: the embedder costs twice as much as the generator."""
        weights, some = self.config.losses, max(1, len(output) // 4)
        with torch.no_grad():
            wanted = self.embedder(face_view(target[:some])).float()
        found = self.embedder(face_view(output[:some])).float()
        terms = {}
        if weights.identity:
            terms["identity"] = weights.identity * losses.identity_loss(found, wanted)
        if weights.cosine_identity:
            terms["cosine_identity"] = weights.cosine_identity * losses.cosine_identity_loss(found, wanted)
        return terms

    def discriminator_losses(self, batch: Batch, made: Frontalized) -> dict[str, Tensor]:
        given = target_known(batch, batch["target"])
        paired, shown = _shown(given)
        real = (batch["target"] * given)[paired.flatten()]
        return discriminator_terms(self.discriminators, real, made.output, made.known, losses.real_fake_loss, shown)


def _shown(given: Tensor) -> tuple[Tensor, Tensor]:
    """Which items have a frontal picture (N, 1, 1, 1), and what of the output is looked at: all where there is none."""
    paired = given.amax((1, 2, 3), keepdim=True) > 0
    return paired, torch.where(paired, given, 1.0)


def _exact(batch: Batch) -> Tensor:
    """(N, 1, 1, 1): 1 for items whose exact flow is known, 0 for others; all, if the batch does not say."""
    return batch.get("exact", torch.ones(len(batch["image"]), device=batch["image"].device)).view(-1, 1, 1, 1)
