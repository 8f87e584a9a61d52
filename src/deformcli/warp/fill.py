"""Filling holes without learning: the nearest known pixel (thesis section 3.4) and a smooth (biharmonic) membrane."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from . import native
from .forward import best_implementation


@torch.library.custom_op("deform::nearest_known", mutates_args=())
def nearest_known(known: Tensor) -> Tensor:
    """Index (N, H, W) into H * W of the euclidean-nearest pixel with `known` (N, 1, H, W) above 0.

    Exact. Ties go to the upper, then the left candidate. A picture without any known pixel keeps its own index.
    """
    return best_implementation(known.device.type).nearest_known(known[:, 0] > 0)


@nearest_known.register_fake
def _(known: Tensor) -> Tensor:
    return known.new_empty((known.shape[0], *known.shape[2:]), dtype=torch.int64)


def nearest_fill(image: Tensor, known: Tensor) -> Tensor:
    """Give every hole of `image` (N, C, H, W) the colour of its nearest known pixel; `known` (N, 1, H, W), 0 = hole.

    Differentiable in the colours. Thesis section 3.4.
    """
    index = nearest_known(known).flatten(1)[:, None].expand(-1, image.shape[1], -1)
    return image.flatten(2).gather(2, index).view_as(image)


def pyramid_fill(image: Tensor, known: Tensor) -> Tensor:
    """Fill holes from ever coarser averages of the known pixels: fast, blurry, defined at any hole size."""
    h, w = image.shape[2:]
    if h <= 1 and w <= 1:
        return image
    weight = F.avg_pool2d(known, 2, ceil_mode=True)
    coarse = F.avg_pool2d(image * known, 2, ceil_mode=True) / weight.clamp_min(1e-6)
    coarse = pyramid_fill(coarse, (weight > 0).to(image.dtype))
    smooth = F.interpolate(coarse, (h, w), mode="bilinear", align_corners=False)
    return torch.where(known > 0, image, smooth)


@torch.no_grad()
def smooth_fill(image: Tensor, known: Tensor, *, iterations: int = 200, tolerance: float = 1e-3) -> Tensor:
    """Continue `image` (N, C, H, W) into its holes as the surface of least squared Laplacian (biharmonic).

    Conjugate gradients (CGLS) over the hole pixels alone, from the pyramid fill, until the residual has fallen by
    `tolerance` or after `iterations`. Not differentiable. `known` (N, 1, H, W), 0 = hole. Returns float32.
    """
    present = known > 0
    guess = pyramid_fill(image.float().where(present, 0.0), present.float())
    if guess.device.type == "cpu" and native.available()[0]:
        return native.smooth_fill(guess, present[:, 0], iterations, tolerance)
    return smooth_fill_reference(guess, present, iterations, tolerance)


@torch.no_grad()
def smooth_fill_reference(guess: Tensor, present: Tensor, iterations: int, tolerance: float) -> Tensor:
    """The same on any device, from a `guess` of what is not `present` (N, 1, H, W); all pictures take as many steps."""
    filled, holes = guess.clone(), ~present
    if not holes.any():
        return filled
    near = F.max_pool2d(holes.float(), (3, 1), 1, (1, 0)) + F.max_pool2d(holes.float(), (1, 3), 1, (0, 1)) > 0
    hole_cells, near_cells = _stencil(holes, near), _stencil(near, holes)
    solution = _packed(filled, holes)

    residual = -_packed(_laplacian(filled), near)
    gradient = _apply(hole_cells, residual)
    direction, energy = gradient, gradient.square().sum()
    target = energy * tolerance**2
    for _ in range(iterations):
        image_of_direction = _apply(near_cells, direction)
        step = energy / image_of_direction.square().sum().clamp_min(1e-30)
        solution = solution + step * direction
        residual = residual - step * image_of_direction
        gradient = _apply(hole_cells, residual)
        previous, energy = energy, gradient.square().sum()
        if energy <= target:
            break
        direction = gradient + energy / previous * direction
    filled.movedim(1, -1)[holes[:, 0]] = solution
    return filled


def _packed(image: Tensor, cells: Tensor) -> Tensor:
    """The pixels of (N, C, H, W) where `cells` (N, 1, H, W): (n, C)."""
    return image.movedim(1, -1)[cells[:, 0]]


def _laplacian(image: Tensor) -> Tensor:
    """Neighbours minus the pixel, over the neighbours that exist (symmetric, so its own transpose)."""
    padded = F.pad(image, (1, 1, 1, 1), mode="replicate")
    ring = padded[..., :-2, 1:-1] + padded[..., 2:, 1:-1] + padded[..., 1:-1, :-2] + padded[..., 1:-1, 2:]
    return ring - 4 * image


def _stencil(rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The Laplacian from packed `columns` to packed `rows`: neighbours' indices (n, 4), own index, degree."""
    count = int(columns.sum())
    number = torch.full(columns.shape, count, device=columns.device)
    number[columns] = torch.arange(count, device=columns.device)
    padded = F.pad(number, (1, 1, 1, 1), value=count)
    ring = (padded[..., :-2, 1:-1], padded[..., 2:, 1:-1], padded[..., 1:-1, :-2], padded[..., 1:-1, 2:])
    degree = F.pad(torch.ones_like(number), (1, 1, 1, 1))
    degree = degree[..., :-2, 1:-1] + degree[..., 2:, 1:-1] + degree[..., 1:-1, :-2] + degree[..., 1:-1, 2:]
    return torch.stack([part[rows] for part in ring], 1), number[rows], degree[rows][:, None].float()


def _apply(stencil: tuple[Tensor, Tensor, Tensor], values: Tensor) -> Tensor:
    """The packed Laplacian of packed `values` (n, C)."""
    ring, own, degree = stencil
    values = F.pad(values, (0, 0, 0, 1))  # what lies outside the packed set counts as zero
    return F.embedding_bag(ring, values, mode="sum") - degree * values.index_select(0, own)
