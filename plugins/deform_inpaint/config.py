"""What a run of the inpainter is set by, and the presets: the thesis's variants, and `best`, which goes beyond it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from deformcli.recipes import TrainingConfig

from .networks import GeneratorConfig


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
WITHOUT_GAP = replace(THESIS, losses=replace(THESIS.losses, gap=0.0))
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
PRESETS: Mapping[str, InpaintConfig] = {
    "best": BEST,
    "fw-gap": THESIS,
    "fw": WITHOUT_GAP,
    "bkwd": replace(WITHOUT_GAP, generator=GeneratorConfig(sampler="backward")),
    "gated": replace(WITHOUT_GAP, generator=GeneratorConfig(architecture="gated")),
}
