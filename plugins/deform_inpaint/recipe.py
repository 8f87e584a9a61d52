"""Training the inpainter: the losses of (3.13), and what goes beyond them in the preset `best`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import cv2
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from deformcli import losses
from deformcli.data.masked import MaskedPictures
from deformcli.data.masks import mask_names
from deformcli.data.sources import Source
from deformcli.engine.judges import as_picture, build_judges, fooling_terms, gap_guess, judging_terms
from deformcli.engine.recipe import Batch, Recipe, TrainingConfig, check_size, target_known
from deformcli.images import to_tensor, to_uint8
from deformcli.models.discriminators import SpectralPatchDiscriminator
from deformcli.models.embedders import VGG16Features, load_frozen
from deformcli.warp import flow_to_rgb, smooth_fill

from .networks import Generator, GeneratorConfig, Inpainted
from .searched import by_offsets, by_patches, with_moved_pixels


@dataclass(frozen=True)
class LossWeights:
    """Weights of the loss terms; the defaults are the thesis's (section 4.2.3)."""

    l1: float = 10.0  # L1 of the output
    content: float = 0.02  # distance of VGG features; needs perceptual_weights
    style: float = 5e4  # distance of their Gram matrices; likewise
    rigidity: float = 1.0  # springs between neighbouring pixels
    adversarial: float = 0.1  # fool the patch discriminator (LSGAN)
    gap: float = 1e-5  # fool the gap discriminator
    hole_l1: float = 0.0  # L1 of the output, meaned over holes alone
    hole_psnr: float = 0.0  # minus the decibels there, picture by picture: what the mean PSNR measures


@dataclass(frozen=True)
class InpaintConfig:
    """Everything that defines a run."""

    training: TrainingConfig = TrainingConfig()
    generator: GeneratorConfig = GeneratorConfig()
    losses: LossWeights = LossWeights()
    masks: tuple[str, ...] = ("strokes",)  # what makes holes, as in --masks
    perceptual_weights: str = ""  # file of torchvision VGG-16 weights; without it content and style are 0


THESIS = InpaintConfig()
BEST = InpaintConfig(
    training=TrainingConfig(
        steps=5_200,
        batch_size=16,
        generator_lr=6e-4,
        discriminator_lr=1e-4,
        warmup=100,
        decay=True,
        adversarial_from=1_000_000_000,
        ema=0.998,
        clip=1.0,
    ),
    generator=GeneratorConfig(
        flows=4,
        regressor_width=48,
        residual_blocks=4,
        merger_widths=(64, 96, 160),
        merger_blocks=(2, 3, 3),
        unshuffle=2,
        regressor_unshuffle=4,
        smooth=True,
        residual=True,
    ),
    losses=LossWeights(
        l1=0.0, content=0.0, style=0.0, rigidity=0.2, adversarial=0.0, gap=0.0, hole_l1=2.0, hole_psnr=0.01
    ),
    masks=("strokes:thin?holes=0.06-0.25", "strokes:thick?holes=0.06-0.25"),
)


class InpaintRecipe(Recipe):
    """Picture with holes -> picture without."""

    name = "inpaint"
    default_weights = "inpaint-128"
    presets: ClassVar[Mapping[str, InpaintConfig]] = {
        "best": BEST,
        "fw-gap": THESIS,
        "fw": replace(THESIS, losses=replace(THESIS.losses, gap=0.0)),
        "bkwd": replace(THESIS, generator=GeneratorConfig(sampler="backward"), losses=replace(THESIS.losses, gap=0.0)),
        "gated": replace(
            THESIS, generator=GeneratorConfig(architecture="gated"), losses=replace(THESIS.losses, gap=0.0)
        ),
    }

    @classmethod
    def from_weights(cls, path: Path) -> InpaintRecipe:
        """See `Recipe`; with the thesis's masks, whatever the network was trained on."""
        recipe = super().from_weights(path)
        recipe.config = replace(recipe.config, masks=THESIS.masks)
        return recipe

    def __init__(self, config: InpaintConfig) -> None:
        torch.manual_seed(config.training.seed)
        self.config = config
        self.generator = Generator(config.generator)
        self.discriminators = build_judges(config.losses, SpectralPatchDiscriminator)
        self.vgg: nn.Module | None = None
        if (config.losses.content or config.losses.style) and config.perceptual_weights:
            self.vgg = load_frozen(VGG16Features(), Path(config.perceptual_weights))

    def dataset(self, sources: Sequence[Source], split: str, length: int = 0) -> Dataset:
        training = self.config.training
        check_size(training.size, self.generator.multiple)
        return MaskedPictures(sources, training.size, self.config.masks, split, training.seed, length)

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
            terms |= fooling_terms(self.discriminators, weights, made.output, known, fool, given)
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
        image, judge = batch["image"], losses.least_squares_real_fake_loss
        given = target_known(batch, image)
        return judging_terms(self.discriminators, image, made.output, batch["known"], judge, given)

    def predict(self, batch: Batch) -> Tensor:
        output = self.generator(batch["image"] * batch["known"], batch["known"]).output.clamp(-1, 1)
        return torch.where(batch["known"] > 0, batch["image"], output)

    def target(self, batch: Batch) -> Tensor:
        return batch["image"]

    def baselines(self) -> Mapping[str, Callable[[Batch], Tensor]]:
        return {
            "copy": lambda batch: batch["image"] * batch["known"],
            "telea": lambda batch: _opencv(batch, cv2.INPAINT_TELEA),
            "navier-stokes": lambda batch: _opencv(batch, cv2.INPAINT_NS),
            "biharmonic": lambda batch: smooth_fill(batch["image"], batch["known"]).clamp(-1, 1),
        }

    def slow_baselines(self) -> Mapping[str, Callable[[Batch], Tensor]]:
        return {
            "patchmatch": by_patches,
            "shift-map": by_offsets,
            "moved": lambda batch: with_moved_pixels(self.predict(batch), batch),
        }

    def groups(self, batch: Batch) -> list[str]:
        names = mask_names(self.config.masks)
        return [names[int(kind)] for kind in batch["kind"]]

    def warps(self, batch: Batch) -> Tensor:
        candidates = self.generator(batch["image"], batch["known"]).candidates
        return super().warps(batch) if candidates is None else candidates[:, -self.config.generator.flows :]

    def pictures(self, batch: Batch) -> dict[str, Tensor]:
        made = self.generator(batch["image"], batch["known"])
        columns = {"input": batch["image"] * batch["known"]}
        if made.flows is not None:
            columns |= {
                "flow 1": flow_to_rgb(made.flows[:, 0]),
                "warp 1": made.candidates[:, -self.config.generator.flows],
            }
        columns |= {"holes": as_picture(1 - batch["known"]), "output": made.output, "target": batch["image"]}
        return columns | gap_guess(self.discriminators, made.output)


def _opencv(batch: Batch, method: int) -> Tensor:
    """OpenCV's inpainting with the radius its users take, 3 pixels, picture by picture."""
    holes = (batch["known"][:, 0] == 0).byte().cpu().numpy()
    filled = [cv2.inpaint(to_uint8(image), hole, 3, method) for image, hole in zip(batch["image"], holes, strict=True)]
    return torch.cat([to_tensor(picture) for picture in filled]).to(batch["image"].device)
