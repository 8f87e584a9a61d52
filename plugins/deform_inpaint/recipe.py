"""Training the inpainter: the losses of (3.13), and what goes beyond them in the preset `best`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils.data import Dataset

from deformcli import losses
from deformcli.data import Batch, MaskedPictures, Source
from deformcli.models import SpectralPatchDiscriminator, VGG16Features
from deformcli.recipes import (
    Recipe,
    build_discriminators,
    check_size,
    discriminator_terms,
    generator_terms,
    helper_network,
    target_known,
)

from .config import PRESETS, InpaintConfig
from .networks import Inpainted
from .predictor import InpaintPredictor


class InpaintRecipe(Recipe):
    """Picture with holes -> picture without."""

    predictor = InpaintPredictor
    presets = PRESETS

    def __init__(self, config: InpaintConfig) -> None:
        super().__init__(config)
        self.discriminators = build_discriminators(config.losses, SpectralPatchDiscriminator)
        self.vgg = helper_network(config, "perceptual_weights", ("content", "style"), VGG16Features, self.notes)

    @classmethod
    def dataset(
        cls, config: InpaintConfig, sources: Sequence[Source], split: str, *, size: int, length: int = 0
    ) -> Dataset:
        check_size(size, config.generator.multiple)
        return MaskedPictures(sources, size, config.masks, split, config.training.seed, length)

    def generator_losses(self, batch: Batch, step: int) -> tuple[dict[str, Tensor], Inpainted]:
        weights, image, known = self.config.losses, batch["image"], batch["known"]
        given = target_known(batch, image)
        holes = given * (1 - known)
        made = self.generator(image, known)
        terms = {}
        if weights.l1:
            terms["l1"] = weights.l1 * losses.pixel_loss(made.output, image, given)
        if weights.hole_l1:
            terms["hole_l1"] = weights.hole_l1 * losses.pixel_loss(made.output, image, holes)
        if weights.hole_psnr:
            terms["hole_psnr"] = weights.hole_psnr * losses.psnr_loss(made.output, image, holes)
        if weights.rigidity and made.flows is not None:
            terms["rigidity"] = weights.rigidity * losses.rigidity_loss(made.flows.flatten(0, 1))
        if self.vgg is not None:
            terms |= self._perceptual(made.output * given, image * given)
        if step >= self.config.training.adversarial_from:
            fool = losses.least_squares_fooling_loss
            terms |= generator_terms(self.discriminators, weights, made.output, known, fool, given)
        return terms, made

    def _perceptual(self, output: Tensor, image: Tensor) -> dict[str, Tensor]:
        weights, pixels = self.config.losses, image.shape[2] * image.shape[3]
        with torch.no_grad():
            wanted = self.vgg(image)
        features = self.vgg(output)
        return {
            "content": weights.content * losses.content_loss(features, wanted, pixels),
            "style": weights.style * losses.style_loss(features, wanted, pixels),
        }

    def discriminator_losses(self, batch: Batch, made: Inpainted) -> dict[str, Tensor]:
        image, tell = batch["image"], losses.least_squares_real_fake_loss
        given = target_known(batch, image)
        return discriminator_terms(self.discriminators, image * given, made.output, batch["known"], tell, given)
