"""How fast the forward warp is, beside what it replaces: medians of one run, side by side, as ratios.

    python benchmarks/warp.py                  every size and flow, on one CPU thread
    python benchmarks/warp.py --threads 8      the same on eight
    python benchmarks/warp.py --quick          fewer repetitions

Columns: the time of forward, and of forward + backward; how many times faster each is than scatter_add with autograd,
and than grid_sample; and which share of the bandwidth floor they reach: 36 bytes a pixel forward (image 12 and flow 8
read, warped 12 and coverage 4 written), 88 forward + backward, at the copy bandwidth measured in the same run.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from deformcli.warp import forward_warp, native

SIZES = ((1, 1, 128), (32, 32, 128), (10, 1, 128), (10, 1, 512), (1, 1, 1024))  # flows, images, height = width
FLOOR_BYTES = {"forward": 36, "both": 36 + 52}  # backward: warped, coverage and their gradients, image, flow; gradients


def scatter_add_warp(image: Tensor, flow: Tensor, eps: float = 1e-6) -> tuple[Tensor, Tensor]:
    """The forward warp as one would write it in torch: the baseline, differentiated by autograd."""
    n, _, h, w = flow.shape
    x = torch.arange(w, device=flow.device) + flow[:, 0]
    y = torch.arange(h, device=flow.device)[:, None] + flow[:, 1]
    x0, y0 = x.floor(), y.floor()
    values = torch.cat([image.expand(n, -1, -1, -1), torch.ones_like(image[:, :1]).expand(n, -1, -1, -1)], 1)
    sums = values.new_zeros(n, values.shape[1], h * w)
    for corner_x, corner_y in ((x0, y0), (x0 + 1, y0), (x0, y0 + 1), (x0 + 1, y0 + 1)):
        inside = (corner_x >= 0) & (corner_x < w) & (corner_y >= 0) & (corner_y < h)
        weight = ((1 - (x - corner_x).abs()) * (1 - (y - corner_y).abs())).where(inside, 0.0)
        index = (corner_y * w + corner_x).where(inside, 0.0).long().flatten(1)[:, None]
        sums = sums.scatter_add(2, index.expand(-1, values.shape[1], -1), (values * weight[:, None]).flatten(2))
    sums = sums.unflatten(2, (h, w))
    coverage = sums[:, -1:]
    return sums[:, :-1] / (coverage + eps), coverage


def grid_sample(image: Tensor, flow: Tensor) -> tuple[Tensor]:
    """torch's own gather through the same field, as a measure of what a kernel of this size costs."""
    n, _, h, w = flow.shape
    grid = flow.movedim(1, -1) / torch.tensor([w / 2, h / 2], device=flow.device)
    return (F.grid_sample(image.expand(n, -1, -1, -1), grid, align_corners=False),)


def make_flows(n: int, size: int) -> dict[str, Tensor]:
    """The seven kinds, (n, 2, size, size)."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(n, 2, size, size, generator=generator) * 2 - 1
    smooth = torch.randn(n, 2, size // 16, size // 16, generator=generator) * 4
    y, x = torch.meshgrid(torch.arange(float(size)), torch.arange(float(size)), indexing="ij")
    center = torch.stack([size / 2 + 0.3 - x, size / 2 - 0.4 - y])
    return {
        "smooth": F.interpolate(smooth, (size, size), mode="bicubic"),
        "rough": noise * size / 2,
        "identity": torch.zeros_like(noise),
        "integer": torch.round(noise * 3),
        "one cell": center + 0.1 * noise,
        "outside": noise.sign() * 2 * size,
        "NaN": torch.where(torch.rand(noise.shape, generator=generator) < 0.2, float("nan"), noise * 2),
    }


def median_seconds(run: Callable[[], object], seconds: float) -> float:
    """Of at least three runs, and as many as fit in `seconds`, after one to warm up."""
    run()
    times, end = [], time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def forward_seconds(warp: Callable, image: Tensor, flow: Tensor, seconds: float) -> float:
    with torch.no_grad():
        return median_seconds(lambda: warp(image, flow), seconds)


def both_seconds(warp: Callable, image: Tensor, flow: Tensor, seconds: float) -> float:
    """Forward and backward, with gradients of image and flow."""
    image, flow = image.clone().requires_grad_(), flow.clone().requires_grad_()
    with torch.no_grad():
        cotangents = [torch.randn_like(output) for output in warp(image, flow)]
    return median_seconds(lambda: torch.autograd.grad(warp(image, flow), (image, flow), cotangents), seconds)


def copy_bandwidth(seconds: float) -> float:
    """Bytes a second, read and written, of copying 64 MB."""
    source = torch.zeros(16 << 20)
    target = torch.empty_like(source)
    return 2 * source.nbytes / median_seconds(lambda: target.copy_(source), seconds)


def overhead_microseconds() -> float:
    """A whole call on an 8 x 8 image."""
    image, flow = torch.randn(1, 3, 8, 8), torch.randn(1, 2, 8, 8)
    return forward_seconds(forward_warp, image, flow, 0.3) * 1e6


def row(n: int, images: int, size: int, name: str, flow: Tensor, bandwidth: float, seconds: float) -> str:
    image = torch.randn(images, 3, size, size)
    measured = {"forward": [], "both": []}
    for warp in (forward_warp, scatter_add_warp, grid_sample):
        field = flow.nan_to_num(2.0 * size) if warp is not forward_warp else flow
        measured["forward"].append(forward_seconds(warp, image, field, seconds))
        measured["both"].append(both_seconds(warp, image, field, seconds))
    cells = [f"{n:3d} of {images:2d}, {size:4d}", f"{name:8s}"]
    for part, (own, scatter, sample) in measured.items():
        share = FLOOR_BYTES[part] * n * size * size / bandwidth / own
        cells.append(f"{own * 1e3:8.3f} ms {scatter / own:6.1f}x {sample / own:5.1f}x {share:6.0%}")
    return " | ".join(cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    seconds = 0.05 if options.quick else 0.4

    bandwidth = copy_bandwidth(seconds)
    print(f"native: {native.available()[1]}")
    print(f"{options.threads} thread(s), torch {torch.__version__}, copy bandwidth {bandwidth / 1e9:.1f} GB/s")
    print(f"a call on 8 x 8: {overhead_microseconds():.1f} us\n")
    part = f"{'time':>11s} {'scatter':>7s} {'grid':>6s} {'floor':>6s}"
    print(f"flows of images | flow     | forward{part[7:]} | forward + backward{part[18:]}")
    for n, images, size in SIZES:
        for name, flow in make_flows(n, size).items():
            print(row(n, images, size, name, flow, bandwidth, seconds))


if __name__ == "__main__":
    main()
