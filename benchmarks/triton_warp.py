"""The forward warp and its gradient as plain Triton kernels: what `benchmarks/warp.py` compares with on a GPU."""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 256


@triton.jit
def landing(flow, at, real, n, plane, width):
    x = at % width + tl.load(flow + 2 * n * plane + at, real, 0.0)
    y = at // width + tl.load(flow + (2 * n + 1) * plane + at, real, 0.0)
    return x, y, tl.floor(x), tl.floor(y)


@triton.jit
def corner_cell(x, y, height, width):
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    return inside, tl.where(inside, y.to(tl.int32) * width + x.to(tl.int32), 0)


@triton.jit
def splat(image, flow, sums, images, height, width, CHANNELS: tl.constexpr, BLOCK: tl.constexpr):
    """Adds BLOCK pixels of a picture to `sums` (N, CHANNELS + 1, H, W), the last channel being the coverage."""
    n = tl.program_id(1).to(tl.int64)
    plane = height * width
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    real = at < plane
    x, y, x0, y0 = landing(flow, at, real, n, plane, width)
    for corner in tl.static_range(4):
        cell_x, cell_y = x0 + corner % 2, y0 + corner // 2
        inside, cell = corner_cell(cell_x, cell_y, height, width)
        weight = (1 - tl.abs(x - cell_x)) * (1 - tl.abs(y - cell_y))
        target = sums + n * (CHANNELS + 1) * plane + cell
        for channel in tl.static_range(CHANNELS):
            color = tl.load(image + ((n % images) * CHANNELS + channel) * plane + at, real, 0.0)
            tl.atomic_add(target + channel * plane, color * weight, real & inside, sem="relaxed")
        tl.atomic_add(target + CHANNELS * plane, weight, real & inside, sem="relaxed")


@triton.jit
def gather(
    grad_sums, image, flow, grad_image, grad_flow, images, height, width, CHANNELS: tl.constexpr, BLOCK: tl.constexpr
):
    """The gradient of BLOCK pixels, of `image` per flow: `grad_image` (N, CHANNELS, H, W)."""
    n = tl.program_id(1).to(tl.int64)
    plane = height * width
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    real = at < plane
    x, y, x0, y0 = landing(flow, at, real, n, plane, width)
    slope_x, slope_y = tl.zeros_like(x), tl.zeros_like(y)
    for channel in tl.static_range(CHANNELS + 1):
        color, mean = tl.full(x.shape, 1.0, tl.float32), tl.zeros_like(x)
        if channel < CHANNELS:
            color = tl.load(image + ((n % images) * CHANNELS + channel) * plane + at, real, 0.0)
        for corner in tl.static_range(4):
            cell_x, cell_y = x0 + corner % 2, y0 + corner // 2
            inside, cell = corner_cell(cell_x, cell_y, height, width)
            pull = tl.load(grad_sums + (n * (CHANNELS + 1) + channel) * plane + cell, real & inside, 0.0)
            weight_x, weight_y = 1 - tl.abs(x - cell_x), 1 - tl.abs(y - cell_y)
            mean += pull * weight_x * weight_y
            slope_x += (2 * (corner % 2) - 1) * pull * color * weight_y
            slope_y += (2 * (corner // 2) - 1) * pull * color * weight_x
        if channel < CHANNELS:
            tl.store(grad_image + (n * CHANNELS + channel) * plane + at, mean, real)
    tl.store(grad_flow + 2 * n * plane + at, slope_x, real)
    tl.store(grad_flow + (2 * n + 1) * plane + at, slope_y, real)


class Splat(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, image: Tensor, flow: Tensor) -> Tensor:
        n, _, h, w = flow.shape
        sums = flow.new_zeros(n, image.shape[1] + 1, h, w)
        splat[(triton.cdiv(h * w, BLOCK), n)](image, flow, sums, image.shape[0], h, w, image.shape[1], BLOCK)
        ctx.save_for_backward(image, flow)
        return sums

    @staticmethod
    def backward(ctx: Any, grad_sums: Tensor) -> tuple[Tensor, Tensor]:
        image, flow = ctx.saved_tensors
        n, _, h, w = flow.shape
        grad_image, grad_flow = image.new_empty(n, *image.shape[1:]), torch.empty_like(flow)
        pointers = grad_sums.contiguous(), image, flow, grad_image, grad_flow
        gather[(triton.cdiv(h * w, BLOCK), n)](*pointers, image.shape[0], h, w, image.shape[1], BLOCK)
        return grad_image.sum_to_size(image.shape), grad_flow


def triton_warp(image: Tensor, flow: Tensor, eps: float = 1e-6) -> tuple[Tensor, Tensor]:
    """As `forward_warp`, for contiguous float32 images and finite flows."""
    sums = Splat.apply(image, flow)
    coverage = sums[:, -1:]
    return sums[:, :-1] / (coverage + eps), coverage
