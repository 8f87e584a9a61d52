"""What a run of the frontalizer is set by, and the presets: the thesis's variants, and `best`, which goes beyond it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from deformcli.recipes import TrainingConfig

from .networks import GeneratorConfig


@dataclass(frozen=True)
class LossWeights:
    """Weights of the loss terms; the defaults are the thesis's (section 4.1.2)."""

    pix1: float = 0.1  # L1 of the warped picture on known pixels
    rigidity: float = 0.01  # springs between neighbouring pixels
    pix2: float = 1.0  # L1 of the output
    adversarial: float = 0.1  # fool the patch discriminator (3.11)
    gap: float = 0.05  # fool the gap discriminator
    identity: float = 0.1  # remain the same person: L2 of embeddings; needs identity_weights
    cosine_identity: float = 0.0  # likewise, by the angle between embeddings
    flow: float = 0.0  # L1 to the exact flow, where the data carries it
    visibility: float = 0.0  # cross-entropy of the visibility to the exact one
    gradient: float = 0.0  # L1 of the output's edges
    perceptual: float = 0.0  # L1 of features; needs perceptual_weights
    background: float = 1.0  # weight of pixels off the head in the pixel losses


@dataclass(frozen=True)
class FrontalizeConfig:
    """Everything that defines a run."""

    training: TrainingConfig = TrainingConfig()
    generator: GeneratorConfig = GeneratorConfig()
    losses: LossWeights = LossWeights()
    flow_warmup: int = 0  # steps at first on the flow and visibility terms alone
    max_yaw: float = 90.0  # largest turn of the inputs in degrees
    identity_weights: str = ""  # file of MobileFaceNet weights for the identity loss; without it the term is 0
    perceptual_weights: str = ""  # file of a compact VGG-19 for the perceptual loss; without it the term is 0


THESIS = FrontalizeConfig()
WITHOUT_GAP = replace(THESIS, losses=replace(THESIS.losses, gap=0.0))
BEST = FrontalizeConfig(
    training=TrainingConfig(
        steps=6_300,
        batch_size=16,
        start_size=64,
        grow_at=3_200,
        generator_lr=8e-4,
        discriminator_lr=1e-4,
        warmup=100,
        decay=True,
        adversarial_from=5_700,
        ema=0.998,
        clip=1.0,
    ),
    generator=GeneratorConfig(
        regressor_widths=(32, 64, 96, 128, 160),
        inpainter_widths=(48, 96, 128),
        inpainter_blocks=(1, 2, 4),
        unshuffle=2,
        supersample=2,
        visibility=True,
        compose=True,
    ),
    losses=LossWeights(
        pix1=0.1, rigidity=0.02, adversarial=0.02, gap=0.02, identity=0.0, cosine_identity=0.5,
        flow=4.0, visibility=0.2, gradient=0.5, background=0.3,
    ),
    flow_warmup=1_500,
)  # fmt: skip
FINETUNE = replace(
    BEST,
    training=replace(BEST.training, steps=4_300, start_size=0, grow_at=0, generator_lr=4e-4),
    losses=replace(BEST.losses, adversarial=0.0, gap=0.0, perceptual=0.5, background=0.4),
    flow_warmup=0,
)
PRESETS: Mapping[str, FrontalizeConfig] = {
    "best": BEST,
    "finetune": FINETUNE,  # from trained weights on, with real pairs
    "fw-gap": THESIS,
    "fw": WITHOUT_GAP,
    "bkwd": replace(WITHOUT_GAP, generator=GeneratorConfig(sampler="backward")),
    "gated": replace(WITHOUT_GAP, generator=GeneratorConfig(warp=False)),
}
