"""The forward warp as a plain Triton kernel: what `benchmarks/warp.py` compares with on a GPU. Forward only."""

import triton
import triton.language as tl
from torch import Tensor

BLOCK = 256


@triton.jit
def splat(image, flow, sums, images, height, width, CHANNELS: tl.constexpr, BLOCK: tl.constexpr):
    """Adds BLOCK pixels of a picture to `sums` (N, CHANNELS + 1, H, W), the last channel being the coverage."""
    n = tl.program_id(1).to(tl.int64)
    plane = height * width
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    real = at < plane
    x = at % width + tl.load(flow + 2 * n * plane + at, real, 0.0)
    y = at // width + tl.load(flow + (2 * n + 1) * plane + at, real, 0.0)
    x0, y0 = tl.floor(x), tl.floor(y)
    for corner in tl.static_range(4):
        cell_x, cell_y = x0 + corner % 2, y0 + corner // 2
        inside = real & (cell_x >= 0) & (cell_x < width) & (cell_y >= 0) & (cell_y < height)
        weight = (1 - tl.abs(x - cell_x)) * (1 - tl.abs(y - cell_y))
        cell = tl.where(inside, cell_y.to(tl.int32) * width + cell_x.to(tl.int32), 0)
        target = sums + n * (CHANNELS + 1) * plane + cell
        for channel in tl.static_range(CHANNELS):
            color = tl.load(image + ((n % images) * CHANNELS + channel) * plane + at, real, 0.0)
            tl.atomic_add(target + channel * plane, color * weight, inside, sem="relaxed")
        tl.atomic_add(target + CHANNELS * plane, weight, inside, sem="relaxed")


def triton_warp(image: Tensor, flow: Tensor, eps: float = 1e-6) -> tuple[Tensor, Tensor]:
    """As `forward_warp`, for float32 images and finite flows on the GPU."""
    n, _, h, w = flow.shape
    sums = flow.new_zeros(n, image.shape[1] + 1, h, w)
    splat[(triton.cdiv(h * w, BLOCK), n)](image, flow, sums, image.shape[0], h, w, image.shape[1], BLOCK)
    coverage = sums[:, -1:]
    return sums[:, :-1] / (coverage + eps), coverage
