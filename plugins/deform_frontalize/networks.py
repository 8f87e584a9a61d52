"""The frontalizer's generator: regress a warp field, move the pixels, fill what stays empty. Thesis section 3.3."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deformcli.models import GatedUNet, ResidualUNet, UNet, run_folded, run_smooth
from deformcli.warp import SAMPLERS, mesh_grid, pyramid_fill

LIGHT = 8  # pixels over which light changes


@dataclass(frozen=True)
class GeneratorConfig:
    """Architecture of the generator; the defaults are the thesis's."""

    regressor_widths: tuple[int, ...] = (12, 24, 48, 96, 160, 160)  # feature maps per level of the U-Net
    inpainter_widths: tuple[int, ...] = (48, 96, 176)  # gated feature maps at full, half, quarter resolution
    inpainter_blocks: tuple[int, ...] = ()  # of an inpainter that is a U-Net of residual blocks: how many at each
    warp: bool = True  # False: no pixel moves and the inpainter alone draws, the GatedConvNet baseline
    sampler: Literal["forward", "backward"] = "forward"  # backward: the BKWD ablation
    unshuffle: int = 1  # networks work at 1 / unshuffle of the resolution
    supersample: int = 1  # the splat works at this many times the resolution
    visibility: bool = False  # regress beside the flow which pixels belong on the frontal view
    compose: bool = False  # keep the warped pixels and add to them, instead of redrawing the picture

    @property
    def multiple(self) -> int:
        """Of which the sides of pictures are."""
        return self.unshuffle * 2 ** (len(self.regressor_widths) - 1)


class Frontalized(NamedTuple):
    """What the generator makes of a batch; images in [-1, 1]."""

    flow: Tensor  # (N, 2, H, W) in pixels
    visibility: Tensor | None  # (N, 1, H, W) logits
    warped: Tensor  # (N, 3, H, W), 0 in holes
    known: Tensor  # (N, 1, H, W), 0 = hole; between 0 and 1 where a pixel is barely covered, if composing
    output: Tensor  # (N, 3, H, W)


class Generator(nn.Module):
    """Turned face (N, 3, H, W) in [-1, 1] -> `Frontalized`. H and W are multiples of `config.multiple`."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        shuffled = config.unshuffle**2
        channels = (10 if config.compose else 6) * shuffled, 3 * shuffled
        self.regressor = UNet(5 * shuffled, 2 + config.visibility, config.regressor_widths) if config.warp else None
        if config.inpainter_blocks:
            self.inpainter = ResidualUNet(*channels, config.inpainter_widths, config.inpainter_blocks)
        else:
            self.inpainter = GatedUNet(*channels, config.inpainter_widths)
        if config.compose:  # begin as the composition
            nn.init.zeros_(self.inpainter.head.weight)
            nn.init.zeros_(self.inpainter.head.bias)

    def forward(self, image: Tensor) -> Frontalized:
        flow, visibility = self.regress(image)
        mesh = _mesh_like(image)
        if self.config.compose:
            warped, known, present = soft_warp(image.float(), flow, visibility, self.config)
            output = self._compose(warped, known, present, mesh)
        else:
            warped, coverage = SAMPLERS[self.config.sampler](image.float(), flow)
            known = (coverage > 0).float()
            output = run_folded(self.inpainter, torch.cat([warped, 1 - known, mesh], 1), self.config.unshuffle).tanh()
        return Frontalized(flow, visibility, warped, known, output)

    def regress(self, image: Tensor) -> tuple[Tensor, Tensor | None]:
        """The warp field alone: flow (N, 2, H, W) in pixels, and visibility logits (N, 1, H, W) if configured.

        In use, if composing, it is the mean of what the picture and its mirror image say.
        """
        if self.regressor is None:
            return torch.zeros_like(image[:, :2]), None
        regressed = self._regressed(image)
        if self.config.compose and not self.training:
            mirrored = self._regressed(image.flip(-1)).flip(-1)
            mirrored[:, 0] *= -1
            regressed = (regressed + mirrored) / 2
        return regressed[:, :2] * (image.shape[-1] / 4), regressed[:, 2:] if self.config.visibility else None

    def _regressed(self, image: Tensor) -> Tensor:
        return run_smooth(self.regressor, torch.cat([image, _mesh_like(image)], 1), self.config.unshuffle)

    def _compose(self, warped: Tensor, known: Tensor, present: Tensor, mesh: Tensor) -> Tensor:
        """known * warped + (1 - known) * fill + residual; the fill is the mirrored half where that is known.

        What is stretched is no detail to keep, but better than nothing: it fills where neither half is known.

        On warped and mirrored pixels the residual may change the light, but no detail: a loss of pixels would blur it;
        and of both halves alike, else what was filled is told by its light, but for one tone that falls from a side.
        """
        mirrored, mirrored_known = warped.flip(-1), known.flip(-1)
        both = known + (1 - known) * mirrored_known
        moved = known * warped + (1 - known) * (mirrored_known * mirrored + (1 - mirrored_known) * warped)
        fill = pyramid_fill(moved, (torch.maximum(both, present) > 0.5).to(both.dtype))
        fill = both * fill + (1 - both) * F.avg_pool2d(fill, 9, 1, 4, count_include_pad=False)
        base = known * warped + (1 - known) * fill
        inputs = torch.cat([base, known, mirrored, mirrored_known, mesh], 1)
        residual = run_folded(self.inpainter, inputs, self.config.unshuffle)
        alike, opposite = (residual + residual.flip(-1)) / 2, (residual - residual.flip(-1)) / 2
        light = _coarse(alike, residual.shape[-1] // LIGHT) + _coarse(opposite, 2)
        return base + light + (1 - both) * (residual - light)


def _coarse(image: Tensor, cells: int) -> Tensor:
    """What the means of cells x cells parts of a picture make of it."""
    means = F.adaptive_avg_pool2d(image, cells)
    return F.interpolate(means, image.shape[2:], mode="bilinear", align_corners=False)


def _mesh_like(image: Tensor) -> Tensor:
    return mesh_grid(*image.shape[2:], device=image.device, dtype=image.dtype).expand(image.shape[0], -1, -1, -1)


class SoftWarp(NamedTuple):
    """What `soft_warp` brings to the frontal view."""

    warped: Tensor  # (N, 3, H, W)
    known: Tensor  # (N, 1, H, W) in 0..1: falls with how far the surface is stretched, as its detail does
    present: Tensor  # (N, 1, H, W) in 0..1: whether anything of the surface is there, however stretched


def soft_warp(image: Tensor, flow: Tensor, visibility: Tensor | None, config: GeneratorConfig) -> SoftWarp:
    """Warp only what is visible, at a finer grid.

    Every pixel is splatted with its visibility as weight, so that background does not blend into the face.
    """
    weight = torch.ones_like(image[:, :1]) if visibility is None else visibility.sigmoid()
    factor = config.supersample
    if factor > 1:
        size = [side * factor for side in image.shape[2:]]
        image = F.interpolate(image, size, mode="bicubic", align_corners=False)  # else the splat blurs twice
        weight = F.interpolate(weight, size, mode="bilinear", align_corners=False)
        flow = F.interpolate(flow, size, mode="bilinear", align_corners=False) * factor
    moved, coverage = SAMPLERS[config.sampler](torch.cat([image * weight, weight], 1), flow)
    moved = F.avg_pool2d(moved * coverage.clamp(max=1), factor)  # a cell counts once, however often it was hit
    around = F.avg_pool2d(moved, 3, 1, 1, count_include_pad=False)
    layers = moved + (0.1 * (1 - moved[:, 3:]) + 1e-3) * around  # gaps of a stretched surface take what is around them
    covered = around[:, 3:]  # 1 / how many times the surface is stretched
    shares = ((covered - least) / over for least, over in ((0.3, 0.35), (0.2, 0.3)))
    # Smoothed, else the fill meets what is known in stripes.
    known, present = (F.avg_pool2d(share.clamp(0, 1), 5, 1, 2, count_include_pad=False) for share in shares)
    return SoftWarp(layers[:, :3] / (layers[:, 3:] + 1e-4), known, present)
