"""Training the inpainter: the losses of (3.13), and what goes beyond them in the preset `best`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

import cv2
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from deformcli import losses
from deformcli.data.folder import MaskedFolder
from deformcli.engine.judges import build_judges, fooling_terms, judging_terms
from deformcli.engine.recipe import Batch, Recipe, TrainingConfig, check_size
from deformcli.errors import UsageError
from deformcli.images import to_tensor, to_uint8
from deformcli.models.discriminators import SpectralPatchDiscriminator
from deformcli.models.embedders import VGG16Features, load_frozen
from deformcli.warp import flow_to_rgb, smooth_fill

from .networks import Generator, GeneratorConfig, Inpainted


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
    hole_l2: float = 0.0  # squared error of the output, likewise: what PSNR measures


@dataclass(frozen=True)
class InpaintConfig:
    """Everything that defines a run."""

    training: TrainingConfig = TrainingConfig()
    generator: GeneratorConfig = GeneratorConfig()
    losses: LossWeights = LossWeights()
    masks: tuple[Literal["thin", "thick"], ...] = ("thin", "thick")  # kinds of strokes
    perceptual_weights: str = ""  # file of torchvision VGG-16 weights; without it content and style are 0


THESIS = InpaintConfig()
BEST = InpaintConfig(
    training=TrainingConfig(
        steps=20_000,
        batch_size=16,
        generator_lr=8e-4,
        discriminator_lr=1e-4,
        warmup=100,
        decay=True,
        adversarial_from=1_000_000_000,
        ema=0.998,
        clip=1.0,
    ),
    generator=GeneratorConfig(
        flows=6, regressor_width=32, merger_width=64, residual_blocks=6, unshuffle=2, smooth=True, residual=True
    ),
    losses=LossWeights(
        l1=1.0, content=0.0, style=0.0, rigidity=0.5, adversarial=0.0, gap=0.0, hole_l1=2.0, hole_l2=8.0
    ),
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

    def __init__(self, config: InpaintConfig) -> None:
        torch.manual_seed(config.training.seed)
        self.config = config
        self.generator = Generator(config.generator)
        self.discriminators = build_judges(config.losses, SpectralPatchDiscriminator)
        self.vgg: nn.Module | None = None
        if (config.losses.content or config.losses.style) and config.perceptual_weights:
            self.vgg = load_frozen(VGG16Features(), Path(config.perceptual_weights))

    def dataset(self, sources: Sequence[tuple[str, Path]], split: str, length: int = 0) -> Dataset:
        for kind, root in sources:
            if kind != "folder":
                raise UsageError(f"--data {kind}:{root}: inpaint cannot read {kind}", "use --data folder:PATH")
        roots = [root for _, root in sources]
        training = self.config.training
        check_size(training.size, self.generator.multiple)
        return MaskedFolder(roots, training.size, self.config.masks, split, training.seed, length)

    def generator_losses(self, batch: Batch, step: int) -> tuple[dict[str, Tensor], Inpainted]:
        weights, image, known = self.config.losses, batch["image"], batch["known"]
        made = self.generator(image, known)
        terms = {"l1": weights.l1 * losses.pixel_loss(made.output, image)}
        if weights.hole_l1:
            terms["hole_l1"] = weights.hole_l1 * losses.pixel_loss(made.output, image, 1 - known)
        if weights.hole_l2:
            terms["hole_l2"] = weights.hole_l2 * losses.masked_mean((made.output - image).square(), 1 - known)
        if weights.rigidity and made.flows is not None:
            terms["rigidity"] = weights.rigidity * losses.rigidity_loss(made.flows.flatten(0, 1))
        if self.vgg is not None:
            terms |= self._perceptual(made.output, image)
        if step >= self.config.training.adversarial_from:
            terms |= fooling_terms(self.discriminators, weights, made.output, known, losses.least_squares_fooling_loss)
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
        return judging_terms(
            self.discriminators, batch["image"], made.output, batch["known"], losses.least_squares_real_fake_loss
        )

    def predict(self, batch: Batch) -> Tensor:
        output = self.generator(batch["image"] * batch["known"], batch["known"]).output.clamp(-1, 1)
        return torch.where(batch["known"] > 0, batch["image"], output)

    def target(self, batch: Batch) -> Tensor:
        return batch["image"]

    def baselines(self) -> Mapping[str, Callable[[Batch], Tensor]]:
        return {
            "Telea": lambda batch: _opencv(batch, cv2.INPAINT_TELEA),
            "Navier-Stokes": lambda batch: _opencv(batch, cv2.INPAINT_NS),
            "biharmonic": lambda batch: smooth_fill(batch["image"], batch["known"]).clamp(-1, 1),
        }

    def groups(self, batch: Batch) -> list[str]:
        return [self.config.masks[int(kind)] for kind in batch["kind"]]

    def pictures(self, batch: Batch) -> dict[str, Tensor]:
        made = self.generator(batch["image"], batch["known"])
        columns = {"input": batch["image"] * batch["known"]}
        if made.flows is not None:
            columns |= {
                "flow 1": flow_to_rgb(made.flows[:, 0]),
                "warp 1": made.candidates[:, -self.config.generator.flows],
            }
        return columns | {"output": made.output, "target": batch["image"]}


def _opencv(batch: Batch, method: int) -> Tensor:
    """OpenCV's inpainting with the radius its users take, 3 pixels, picture by picture."""
    holes = (batch["known"][:, 0] == 0).byte().cpu().numpy()
    filled = [cv2.inpaint(to_uint8(image), hole, 3, method) for image, hole in zip(batch["image"], holes, strict=True)]
    return torch.cat([to_tensor(picture) for picture in filled])
