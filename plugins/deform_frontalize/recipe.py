"""Training the frontalizer: the losses of section 3.3, and what goes beyond them in the preset `best`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset

from deformcli import losses
from deformcli.data.rotated import RotatedPhotos
from deformcli.engine.judges import build_judges, fooling_terms, judging_terms
from deformcli.engine.recipe import Batch, Recipe, TrainingConfig, check_size
from deformcli.errors import UsageError
from deformcli.models.discriminators import FacePatchDiscriminator
from deformcli.models.embedders import MobileFaceNet, load_frozen
from deformcli.warp import flow_to_rgb

from .networks import Frontalized, Generator, GeneratorConfig


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


THESIS = FrontalizeConfig()
BEST = FrontalizeConfig(
    training=TrainingConfig(
        steps=20_000,
        batch_size=16,
        generator_lr=6e-4,
        discriminator_lr=1e-4,
        warmup=100,
        decay=True,
        adversarial_from=15_000,
        ema=0.998,
        clip=1.0,
    ),
    generator=GeneratorConfig(
        regressor_widths=(32, 64, 96, 128, 160),
        inpainter_widths=(32, 64, 96),
        unshuffle=2,
        supersample=2,
        visibility=True,
        compose=True,
    ),
    losses=LossWeights(
        pix1=0.1, rigidity=0.02, adversarial=0.02, gap=0.02, identity=0.0, cosine_identity=0.5,
        flow=4.0, visibility=0.2, gradient=0.5, background=0.3,
    ),
    flow_warmup=2_000,
    max_yaw=75.0,
)  # fmt: skip


class FrontalizeRecipe(Recipe):
    """Turned face -> frontal face."""

    name = "frontalize"
    default_weights = "frontalize-128"
    presets: ClassVar[Mapping[str, FrontalizeConfig]] = {
        "best": BEST,
        "fw-gap": THESIS,
        "fw": replace(THESIS, losses=replace(THESIS.losses, gap=0.0)),
        "bkwd": replace(THESIS, generator=GeneratorConfig(sampler="backward"), losses=replace(THESIS.losses, gap=0.0)),
    }

    def __init__(self, config: FrontalizeConfig) -> None:
        torch.manual_seed(config.training.seed)
        self.config = config
        self.generator = Generator(config.generator)
        self.discriminators = build_judges(config.losses, FacePatchDiscriminator)
        self.embedder: nn.Module | None = None
        if (config.losses.identity or config.losses.cosine_identity) and config.identity_weights:
            self.embedder = load_frozen(MobileFaceNet(), Path(config.identity_weights))

    def dataset(self, sources: Sequence[tuple[str, Path]], split: str, length: int = 0) -> Dataset:
        if {kind for kind, _ in sources} != {"rotated"}:
            raise UsageError("frontalize needs photos with face meshes", "use --data rotated:PATH with a facemesh.npz")
        roots = [root for _, root in sources]
        training = self.config.training
        check_size(training.size, self.generator.multiple)
        return RotatedPhotos(roots, training.size, split, training.seed, length, self.config.max_yaw)

    def generator_losses(self, batch: Batch, step: int) -> tuple[dict[str, Tensor], Frontalized | None]:
        if step < self.config.flow_warmup:
            flow, visibility = self.generator.regress(batch["image"])
            return self._warp_terms(batch, flow, visibility), None
        weights, target = self.config.losses, batch["target"]
        made = self.generator(batch["image"])
        care = weights.background + (1 - weights.background) * batch["face"]
        terms = self._warp_terms(batch, made.flow, made.visibility)
        terms["pix1"] = weights.pix1 * losses.pixel_loss(made.warped, target, made.known * care)
        terms["pix2"] = weights.pix2 * losses.pixel_loss(made.output, target, care)
        if weights.gradient:
            terms["gradient"] = weights.gradient * losses.gradient_loss(made.output, target, care)
        if self.embedder is not None:
            terms |= self._identity(made.output, target)
        if step >= self.config.training.adversarial_from:
            terms |= fooling_terms(self.discriminators, weights, made.output, made.known, losses.fooling_loss)
        return terms, made

    def _warp_terms(self, batch: Batch, flow: Tensor, visibility: Tensor | None) -> dict[str, Tensor]:
        weights = self.config.losses
        terms = {"rigidity": weights.rigidity * losses.rigidity_loss(flow)}
        if weights.flow:
            terms["flow"] = weights.flow * losses.flow_loss(flow, batch["flow"], batch["seen"])
        if weights.visibility and visibility is not None:
            terms["visibility"] = weights.visibility * F.binary_cross_entropy_with_logits(visibility, batch["seen"])
        return terms

    def _identity(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        """On half of the batch: the embedder costs as much as the generator."""
        weights, half = self.config.losses, max(1, len(output) // 2)
        with torch.no_grad():
            wanted = self.embedder(losses.face_view(target[:half])).float()
        found = self.embedder(losses.face_view(output[:half])).float()
        terms = {}
        if weights.identity:
            terms["identity"] = weights.identity * losses.identity_loss(found, wanted)
        if weights.cosine_identity:
            terms["cosine_identity"] = weights.cosine_identity * losses.cosine_identity_loss(found, wanted)
        return terms

    def discriminator_losses(self, batch: Batch, made: Frontalized) -> dict[str, Tensor]:
        return judging_terms(self.discriminators, batch["target"], made.output, made.known, losses.real_fake_loss)

    def predict(self, batch: Batch) -> Tensor:
        return self.generator(batch["image"]).output.clamp(-1, 1)

    def target(self, batch: Batch) -> Tensor:
        return batch["target"]

    def baselines(self) -> Mapping[str, Callable[[Batch], Tensor]]:
        return {"copy the input": lambda batch: batch["image"]}

    def groups(self, batch: Batch) -> list[str]:
        return [f"{int(yaw):+d}" for yaw in batch["yaw"]]

    def pictures(self, batch: Batch) -> dict[str, Tensor]:
        made = self.generator(batch["image"])
        return {
            "input": batch["image"],
            "flow": flow_to_rgb(made.flow),
            "warped": made.warped,
            "known": made.known.expand(-1, 3, -1, -1) * 2 - 1,
            "output": made.output,
            "target": batch["target"],
        }
