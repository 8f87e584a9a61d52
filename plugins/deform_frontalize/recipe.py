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
from deformcli.data.loading import Batch
from deformcli.data.pairs import FacePairs
from deformcli.data.sources import Pairs, Source
from deformcli.errors import UsageError
from deformcli.faces.align import face_view
from deformcli.models.discriminators import FacePatchDiscriminator
from deformcli.models.embedders import MobileFaceNet
from deformcli.recipes.adversarial import as_picture, build_judges, fooling_terms, gap_guess, judging_terms
from deformcli.recipes.recipe import Recipe, TrainingConfig, check_size, target_known
from deformcli.warp import flow_to_rgb, mesh_grid
from deformcli.weights.networks import load_frozen

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


class FrontalizeRecipe(Recipe):
    """Turned face -> frontal face."""

    name = "frontalize"
    default_weights = "frontalize-128"
    presets: ClassVar[Mapping[str, FrontalizeConfig]] = {
        "best": BEST,
        "fw-gap": THESIS,
        "fw": replace(THESIS, losses=replace(THESIS.losses, gap=0.0)),
        "bkwd": replace(THESIS, generator=GeneratorConfig(sampler="backward"), losses=replace(THESIS.losses, gap=0.0)),
        "gated": replace(THESIS, generator=GeneratorConfig(warp=False), losses=replace(THESIS.losses, gap=0.0)),
    }

    def __init__(self, config: FrontalizeConfig) -> None:
        torch.manual_seed(config.training.seed)
        self.config = config
        self.generator = Generator(config.generator)
        self.discriminators = build_judges(config.losses, FacePatchDiscriminator)
        self.embedder: nn.Module | None = None
        if (config.losses.identity or config.losses.cosine_identity) and config.identity_weights:
            self.embedder = load_frozen(MobileFaceNet(), Path(config.identity_weights))

    def dataset(self, sources: Sequence[Source], split: str, length: int = 0) -> Dataset:
        for source in sources:
            if not isinstance(source.data, Pairs):
                remedy = "use data of that kind, such as rotated:PATH"
                raise UsageError(f"--data {source.spec}: frontalize needs pairs of turned and frontal faces", remedy)
        training = self.config.training
        check_size(training.size, self.generator.multiple)
        return FacePairs(sources, training.size, split, training.seed, length, self.config.max_yaw)

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
        if self.embedder is not None:
            terms |= self._identity(made.output * given, target * given)
        if step >= self.config.training.adversarial_from:
            terms |= fooling_terms(self.discriminators, weights, made.output, made.known, losses.fooling_loss, given)
        return terms, made

    def _warp_terms(self, batch: Batch, flow: Tensor, visibility: Tensor | None) -> dict[str, Tensor]:
        weights = self.config.losses
        terms = {"rigidity": weights.rigidity * losses.rigidity_loss(flow)}
        exact = _exact(batch)
        if not exact.any():
            return terms
        if weights.flow:
            terms["flow"] = weights.flow * losses.flow_loss(flow, batch["flow"], batch["seen"])
        if weights.visibility and visibility is not None:
            doubt = F.binary_cross_entropy_with_logits(visibility, batch["seen"], reduction="none")
            terms["visibility"] = weights.visibility * losses.masked_mean(doubt, exact)
        return terms

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
        target = batch["target"]
        given = target_known(batch, target)
        return judging_terms(self.discriminators, target, made.output, made.known, losses.real_fake_loss, given)

    def predict(self, batch: Batch) -> Tensor:
        return self.generator(batch["image"]).output.clamp(-1, 1)

    def target(self, batch: Batch) -> Tensor:
        return batch["target"]

    def baselines(self) -> Mapping[str, Callable[[Batch], Tensor]]:
        return {"copy": lambda batch: batch["image"], "mirror": _mirror_the_near_half}

    def groups(self, batch: Batch) -> list[str]:
        return [f"{int(yaw):+d}" for yaw in batch["yaw"]]

    def known(self, batch: Batch) -> Tensor:
        return (self.generator(batch["image"]).known > 0.5).float()

    def warps(self, batch: Batch) -> Tensor:
        return self.generator(batch["image"]).warped[:, None]

    def pictures(self, batch: Batch) -> dict[str, Tensor]:
        made = self.generator(batch["image"])
        return {
            "input": batch["image"],
            "flow": flow_to_rgb(made.flow),
            "warped": made.warped,
            "holes": as_picture(1 - made.known),
            "output": made.output,
            "target": batch["target"],
            **gap_guess(self.discriminators, made.output),
        }


def _exact(batch: Batch) -> Tensor:
    """(N, 1, 1, 1): 1 for items whose exact flow is known, 0 for others; all, if the batch does not say."""
    return batch.get("exact", torch.ones(len(batch["image"]), device=batch["image"].device)).view(-1, 1, 1, 1)


def _mirror_the_near_half(batch: Batch) -> Tensor:
    """The half of the face that is turned to the camera, moved to where it is from the front, and its mirror image.

    The midline lies off the middle of the crop by the sine of the yaw, times what suits turned photos best.
    """
    image, sine = batch["image"], torch.deg2rad(batch["yaw"]).sin().view(-1, 1, 1)
    x, y = mesh_grid(*image.shape[2:], device=image.device)[0]
    side = torch.where(sine > 0, 1.0, -1.0)  # the nose to the right: the near half is the left one
    x = 0.5 * sine - side * x.abs()
    grid = torch.stack([x, y.expand_as(x)], -1)  # (N, H, W, 2)
    return F.grid_sample(image, grid, padding_mode="border", align_corners=True)
