"""The inpainter's generator: K warp fields, moved pixels, and a mixture of what arrived. Thesis section 3.4."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from deformcli.models import GatedUNet, ResidualHourglass, ResidualUNet, run_folded, run_smooth
from deformcli.warp import SAMPLERS, nearest_fill, smooth_fill

LEAST = 0.01  # share of known pixels in a moved one, below which it is a hole


@dataclass(frozen=True)
class GeneratorConfig:
    """Architecture of the generator; the defaults are the thesis's."""

    architecture: Literal["warps", "gated"] = "warps"  # the thesis's, or the GatedConvNet baseline
    flows: int = 10  # K, the number of warp fields
    regressor_width: int = 37  # feature maps at full resolution, twice that below
    merger_width: int = 148  # likewise; the thesis's is 4 times the regressor's
    residual_blocks: int = 12  # residual blocks in the middle of both
    merger_widths: tuple[int, ...] = ()  # of a merger that is a U-Net without normalisation: maps at each resolution
    merger_blocks: tuple[int, ...] = ()  # its residual blocks at each
    gated_widths: tuple[int, ...] = (48, 96, 176)  # feature maps of the gated baseline
    sampler: Literal["forward", "backward"] = "forward"  # backward: the BKWD ablation
    unshuffle: int = 1  # networks work at 1 / unshuffle of the resolution
    regressor_unshuffle: int = 0  # and the regressor at 1 / regressor_unshuffle; 0 = the same
    smooth: bool = False  # warp a smoothly filled picture, which is a candidate itself and the mixture's start
    residual: bool = False  # let the merger add to the mixture
    window: int = 128  # side of the windows in which a network in use sees larger pictures

    @property
    def multiple(self) -> int:
        """Of which the sides of pictures are."""
        return 4 * max(self.unshuffle, self.regressor_unshuffle)


class Inpainted(NamedTuple):
    """What the generator makes of a batch; images in [-1, 1]."""

    flows: Tensor | None  # (N, K, 2, H, W) in pixels
    candidates: Tensor | None  # (N, candidates, 3, H, W)
    mixture: Tensor | None  # (N, candidates, H, W), sums to 1
    output: Tensor  # (N, 3, H, W)


class Generator(nn.Module):
    """Image (N, 3, H, W) in [-1, 1] and known (N, 1, H, W) -> `Inpainted`.

    H and W are multiples of `config.multiple`.
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        self.regressor_unshuffle = config.regressor_unshuffle or config.unshuffle
        shuffled = config.unshuffle**2
        if config.architecture == "gated":
            self.gated = GatedUNet(4 * shuffled, 3 * shuffled, config.gated_widths)
            return
        candidates = config.flows + (2 if config.smooth else 1)
        channels = (3 * candidates + 1) * shuffled, (candidates + (3 if config.residual else 0)) * shuffled
        self.regressor = ResidualHourglass(
            4 * self.regressor_unshuffle**2, 2 * config.flows, config.regressor_width, config.residual_blocks
        )
        if config.merger_widths:
            self.merger = ResidualUNet(*channels, config.merger_widths, config.merger_blocks)
        else:
            self.merger = ResidualHourglass(*channels, config.merger_width, config.residual_blocks)

    def forward(self, image: Tensor, known: Tensor) -> Inpainted:
        if self.config.architecture == "gated":
            output = run_folded(self.gated, torch.cat([image * known, known], 1), self.config.unshuffle).tanh()
            return Inpainted(None, None, None, output)
        base = smooth_fill(image, known) if self.config.smooth else image * known
        flows = self._flows(base, known)
        candidates = torch.cat([self._fixed_candidates(base, known), self._warps(base, known, flows)], 1)
        inputs = torch.cat([candidates.flatten(1, 2), known], 1)
        merged = run_folded(self.merger, inputs, self.config.unshuffle)

        count = candidates.shape[1]
        logits = merged[:, :count]
        if self.config.smooth:  # begin as the smooth fill, whatever the networks say at first
            logits = torch.cat([logits[:, :1] + 4.0, logits[:, 1:]], 1)
        mixture = logits.softmax(1)  # (N, candidates, H, W)
        output = (candidates * mixture[:, :, None]).sum(1)
        if self.config.residual:
            output = output + merged[:, count:]
        return Inpainted(flows, candidates, mixture, output)

    def _flows(self, base: Tensor, known: Tensor) -> Tensor:
        regressed = run_smooth(self.regressor, torch.cat([base, known], 1), self.regressor_unshuffle)
        return regressed.unflatten(1, (self.config.flows, 2)) * (base.shape[-1] / 8)  # (N, K, 2, H, W)

    def _fixed_candidates(self, base: Tensor, known: Tensor) -> Tensor:
        if not self.config.smooth:
            return base[:, None]
        return torch.stack([base, nearest_fill(base, known)], 1)  # (N, 2, 3, H, W)

    def _warps(self, base: Tensor, known: Tensor, flows: Tensor) -> Tensor:
        """K warps of the base with their holes filled: (N, K, 3, H, W).

        A pixel of a hole weighs nothing, so that the nearest pixel "from a non-hole part" fills where only such arrive.
        """
        n, k = flows.shape[:2]
        sources = base.float().repeat_interleave(k, 0)
        sampler = SAMPLERS[self.config.sampler]
        if self.config.smooth:
            warped, coverage = sampler(sources, flows.flatten(0, 1))
            covered = (coverage > 0).to(warped.dtype)
            filled = covered * warped + (1 - covered) * sources
        else:
            weights = known.float().repeat_interleave(k, 0)
            moved, coverage = sampler(torch.cat([sources, weights], 1), flows.flatten(0, 1))
            arrived = moved[:, 3:]  # which share of what a pixel got was known
            filled = nearest_fill(moved[:, :3] / arrived.clamp_min(LEAST), coverage * (arrived > LEAST))
        return filled.unflatten(0, (n, k))
