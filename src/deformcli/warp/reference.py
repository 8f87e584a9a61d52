"""Forward and backward warping in plain torch ops: the arbiter every faster kernel is tested against.

Both operations share one picture. Every pixel of `flow` points at a spot between four cells; `_corners` gives
the index and bilinear weight of each cell (eq. 3.3) and the weight's derivatives. Forward warping scatters along
those indices, backward warping gathers through them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

Pair = tuple[Tensor, Tensor]
Needed = Sequence[bool]
"""Whether the image's gradient is needed, and whether the flow's; (0,) stands for one that is not."""
BOTH = (True, True)


def _only_needed(gradients: Pair, needed: Needed) -> Pair:
    image, flow = (part if wanted else part.new_empty(0) for part, wanted in zip(gradients, needed, strict=True))
    return image, flow


class Corner(NamedTuple):
    """One of the four cells around every target, all tensors (N, H * W); `cell` is H * W where out of bounds."""

    cell: Tensor
    weight: Tensor
    weight_dx: Tensor
    weight_dy: Tensor


def _corners(flow: Tensor) -> Iterator[Corner]:
    """Cells around position + flow. Pixels whose flow is not finite or leads outside point at no cell.

    Floor and fraction are taken of the displacement, not of the position: the fraction keeps all its bits.
    At an integer displacement the second cell has weight 0 and the right-hand derivative.
    """
    n, _, h, w = flow.shape
    column = torch.arange(w, device=flow.device).expand(h, w)
    row = torch.arange(h, device=flow.device)[:, None].expand(h, w)
    dx, dy = flow[:, 0], flow[:, 1]
    inside = (column + dx > -1) & (column + dx < w) & (row + dy > -1) & (row + dy < h)  # False for NaN and Inf
    dx, dy = dx.where(inside, dx.new_zeros(())), dy.where(inside, dy.new_zeros(()))
    floor_x, floor_y = dx.floor(), dy.floor()
    frac_x, frac_y = dx - floor_x, dy - floor_y
    x0, y0 = column + floor_x.long(), row + floor_y.long()

    for x, weight_x, sign_x in ((x0, 1 - frac_x, -1.0), (x0 + 1, frac_x, 1.0)):
        for y, weight_y, sign_y in ((y0, 1 - frac_y, -1.0), (y0 + 1, frac_y, 1.0)):
            valid = inside & (x >= 0) & (x < w) & (y >= 0) & (y < h)
            parts = (
                (y * w + x).where(valid, h * w),
                weight_x * weight_y * valid,
                sign_x * weight_y * valid,
                sign_y * weight_x * valid,
            )
            yield Corner(*(part.reshape(n, h * w) for part in parts))


def _gather(cells: Tensor, index: Tensor) -> Tensor:
    """Values (N, C, HW + 1) at `index` (N, HW) -> (N, C, HW)."""
    return cells.gather(2, index[:, None].expand(-1, cells.shape[1], -1))


def _scatter(cells: Tensor, index: Tensor, values: Tensor) -> None:
    """Add `values` (N, C, HW) into `cells` (N, C, HW + 1); the last cell collects what falls nowhere."""
    cells.scatter_add_(2, index[:, None].expand(-1, cells.shape[1], -1), values)


def _pad(cells: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, C, HW + 1), the added cell being zero."""
    return torch.nn.functional.pad(cells.flatten(2), (0, 1))


def _sum_to_batch(gradient: Tensor, batch: int) -> Tensor:
    """Undo the broadcast of one image against K flows."""
    return gradient if gradient.shape[0] == batch else gradient.sum(0, keepdim=True)


def forward_warp(image: Tensor, flow: Tensor, eps: float) -> Pair:
    """Splat `image` along `flow`, eqs 3.4-3.7; twin of the op in `forward.py`, which documents the contract."""
    n, _, h, w = flow.shape
    channels = image.shape[1]
    colors = image.to(flow.dtype).flatten(2).expand(n, -1, -1)
    cells = flow.new_zeros(n, channels + 1, h * w + 1)
    for index, weight, _, _ in _corners(flow):
        index = index.where(weight > 0, h * w)  # a NaN pixel must not reach a cell through weight 0
        _scatter(cells, index, torch.cat([colors * weight[:, None], weight[:, None]], 1))

    cells = cells[..., :-1].unflatten(2, (h, w))
    coverage = cells[:, channels:].clone()
    warped = cells[:, :channels] / (coverage + eps)
    return warped.to(image.dtype), coverage


def forward_warp_backward(grads: Pair, inputs: Pair, outputs: Pair, eps: float, needed: Needed = BOTH) -> Pair:
    """Closed-form gradient of `forward_warp` (the thesis's Appendix A, corrected): a pure gather.

    With a = accumulated colours, w = coverage, y = a / (w + eps), a source pixel of colour x and weight k in a cell:
    da/dx = k, da/du = x dk/du, dw/du = dk/du, dw/dx = 0, and dk/du is -1 or +1 times the other axis's weight.
    `grads` and `outputs` are (warped, coverage), `inputs` and the result (image, flow).
    """
    (grad_warped, grad_coverage), (image, flow), (warped, coverage) = grads, inputs, outputs
    n, _, h, w = flow.shape
    colors = image.to(flow.dtype).flatten(2).expand(n, -1, -1)
    inverse = torch.where(coverage > 0, 1 / (coverage + eps), torch.zeros_like(coverage))  # none through 1 / eps
    grad_sums = grad_warped.to(flow.dtype) * inverse
    grad_weight = grad_coverage - (grad_sums * warped.to(flow.dtype)).sum(1, keepdim=True)
    cells = _pad(torch.cat([grad_sums, grad_weight], 1))

    grad_image = torch.zeros_like(colors, memory_format=torch.contiguous_format)
    grad_flow = flow.new_zeros(n, 2, h * w)
    for index, weight, weight_dx, weight_dy in _corners(flow):
        at_corner = _gather(cells, index)
        grad_image += at_corner[:, :-1] * weight[:, None]
        pull = (at_corner[:, :-1] * colors).sum(1) + at_corner[:, -1]
        pull = pull.where(index < h * w, 0.0)  # a NaN pixel that lands nowhere has gradient zero
        grad_flow += torch.stack([pull * weight_dx, pull * weight_dy], 1)
    grad_image = _sum_to_batch(grad_image.unflatten(2, (h, w)), image.shape[0])
    return _only_needed((grad_image.to(image.dtype), grad_flow.unflatten(2, (h, w))), needed)


def forward_warp_tangent(tangents: Pair, inputs: Pair, outputs: Pair, eps: float) -> Pair:
    """Closed-form derivative of `forward_warp` along `tangents`: the transpose of `forward_warp_backward`."""
    (image_tangent, flow_tangent), (image, flow), (warped, coverage) = tangents, inputs, outputs
    n, _, h, w = flow.shape
    channels = image.shape[1]
    shift = flow_tangent.flatten(2)
    colors, color_tangents = (part.to(flow.dtype).flatten(2).expand(n, -1, -1) for part in (image, image_tangent))
    cells = flow.new_zeros(n, channels + 1, h * w + 1)
    for index, weight, weight_dx, weight_dy in _corners(flow):
        change = weight_dx * shift[:, 0] + weight_dy * shift[:, 1]
        index = index.where((weight > 0) | (change != 0), h * w)
        values = colors * change[:, None] + color_tangents * weight[:, None]
        _scatter(cells, index, torch.cat([values, change[:, None]], 1))

    cells = cells[..., :-1].unflatten(2, (h, w))
    coverage_tangent = cells[:, channels:].clone()
    warped_tangent = (cells[:, :channels] - warped.to(flow.dtype) * coverage_tangent) / (coverage + eps)
    return warped_tangent.where(coverage > 0, 0.0).to(image.dtype), coverage_tangent  # none through 1 / eps


def backward_warp(image: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
    """Sample `image` through `flow`, eqs 3.1-3.3; twin of the op in `backward.py`, which documents the contract."""
    n, _, h, w = flow.shape
    source = _pad(image.to(flow.dtype)).expand(n, -1, -1)
    warped = flow.new_zeros(n, image.shape[1], h * w)
    coverage = flow.new_zeros(n, 1, h * w)
    for index, weight, _, _ in _corners(flow):
        index = index.where(weight > 0, h * w)
        warped += _gather(source, index) * weight[:, None]
        coverage += weight[:, None]
    return warped.unflatten(2, (h, w)).to(image.dtype), coverage.unflatten(2, (h, w))


def backward_warp_backward(
    grad_warped: Tensor, grad_coverage: Tensor, image: Tensor, flow: Tensor
) -> tuple[Tensor, Tensor]:
    """Closed-form gradient of `backward_warp`: the colours' gradient is a splat, the flow's a gather."""
    n, _, h, w = flow.shape
    source = _pad(image.to(flow.dtype)).expand(n, -1, -1)
    grad_colors = grad_warped.to(flow.dtype).flatten(2)
    grad_weight = grad_coverage.flatten(2)[:, 0]

    grad_source = torch.zeros_like(source, memory_format=torch.contiguous_format)
    grad_flow = flow.new_zeros(n, 2, h * w)
    for index, weight, weight_dx, weight_dy in _corners(flow):
        _scatter(grad_source, index, grad_colors * weight[:, None])
        pull = (_gather(source, index) * grad_colors).sum(1) + grad_weight
        grad_flow += torch.stack([pull * weight_dx, pull * weight_dy], 1)
    grad_image = _sum_to_batch(grad_source[..., :-1].unflatten(2, (h, w)), image.shape[0])
    return grad_image.to(image.dtype), grad_flow.unflatten(2, (h, w))


def backward_warp_tangent(tangents: Pair, inputs: Pair) -> Pair:
    """Closed-form derivative of `backward_warp` along `tangents`: the transpose of `backward_warp_backward`."""
    (image_tangent, flow_tangent), (image, flow) = tangents, inputs
    n, _, h, w = flow.shape
    shift = flow_tangent.flatten(2)
    source, source_tangent = (_pad(part.to(flow.dtype)).expand(n, -1, -1) for part in (image, image_tangent))
    warped_tangent = flow.new_zeros(n, image.shape[1], h * w)
    coverage_tangent = flow.new_zeros(n, 1, h * w)
    for index, weight, weight_dx, weight_dy in _corners(flow):
        change = (weight_dx * shift[:, 0] + weight_dy * shift[:, 1]).where(index < h * w, 0.0)
        index = index.where((weight > 0) | (change != 0), h * w)
        warped_tangent += _gather(source, index) * change[:, None] + _gather(source_tangent, index) * weight[:, None]
        coverage_tangent += change[:, None]
    return warped_tangent.unflatten(2, (h, w)).to(image.dtype), coverage_tangent.unflatten(2, (h, w))


def nearest_known(present: Tensor) -> Tensor:
    """Index (N, H, W) into H * W of the nearest pixel that is `present` (N, H, W); the contract is in `fill.py`.

    The nearest row in each column, then ever farther columns.
    """
    h, w = present.shape[1:]
    row, column = torch.arange(h, device=present.device)[:, None], torch.arange(w, device=present.device)
    far = 4 * (h + w)
    above = torch.where(present, row, -far).cummax(1).values  # (N, H, W) last known row at or above
    below = torch.where(present, row, far).flip(1).cummin(1).values.flip(1)
    nearest_row = torch.where(row - above <= below - row, above, below)
    vertical = (nearest_row - row).clamp(-far, far).square()

    possible = present.flatten(1).any(1)[:, None, None]
    best, nearest_column, reach = vertical.where(possible, 0), column.expand_as(vertical).clone(), 1
    while reach < w and bool((best >= reach**2).any()):
        left, right = slice(None, -reach), slice(reach, None)
        for here, there, nearer in ((left, right, torch.lt), (right, left, torch.le)):  # leftmost wins ties
            distance = vertical[..., there] + reach**2
            better = nearer(distance, best[..., here])
            best[..., here] = torch.where(better, distance, best[..., here])
            nearest_column[..., here] = torch.where(better, column[there], nearest_column[..., here])
        reach += 1
    index = nearest_row.gather(2, nearest_column) * w + nearest_column
    return torch.where(possible, index, row * w + column)
