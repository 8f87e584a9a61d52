"""How fast the forward warp is, beside what it replaces: medians of one run, side by side, as ratios.

    python benchmarks/warp.py                  every size and flow, on one CPU thread
    python benchmarks/warp.py --threads 8      the same on eight
    python benchmarks/warp.py --quick          fewer repetitions
    python benchmarks/warp.py --device cuda    on the GPU, beside torch.compile and a Triton kernel too
    python benchmarks/warp.py --save           keep the tables in benchmarks/results/DEVICE-DATE.md

Columns: the time of forward, and of forward + backward; how many times faster each is than scatter_add with autograd,
and than its other peers; and which share of the bandwidth floor they reach: 36 bytes a pixel forward (image 12 and flow
8 read, warped 12 and coverage 4 written), 88 forward + backward, at the copy bandwidth measured in the same run.
"""

from __future__ import annotations

import argparse
import ctypes
import datetime
import platform
import re
import statistics
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from deformcli.warp import forward_warp, mesh_grid
from deformcli.warp.forward import IMPLEMENTATIONS

SIZES = {  # flows, images, height = width
    "cpu": ((1, 1, 128), (32, 32, 128), (10, 1, 128), (10, 1, 512), (1, 1, 1024)),
    "cuda": ((32, 32, 128), (10, 1, 512), (1, 1, 1024), (1, 1, 4096)),
}
RESULTS = Path(__file__).with_name("results")
Warp = Callable[[Tensor, Tensor], tuple[Tensor, ...]]


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
    mesh = cached_mesh(h, w, device=flow.device).movedim(
        1, -1
    )  # where the pixels are: its own cost is not grid_sample's
    grid = mesh + flow.movedim(1, -1) / torch.tensor([(w - 1) / 2, (h - 1) / 2], device=flow.device)
    return (F.grid_sample(image.expand(n, -1, -1, -1), grid, align_corners=True),)


cached_mesh = cache(mesh_grid)


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


def peers(device: str) -> dict[str, Warp]:
    """What to compare with on a device."""
    found: dict[str, Warp] = {"scatter": scatter_add_warp, "grid": grid_sample}
    if device == "cuda":
        from triton_warp import triton_warp

        found |= {"compiled": torch.compile(scatter_add_warp), "triton": triton_warp}
    return found


def keep_freed_memory() -> None:
    """Let malloc give nothing back to the system.

    Else a result's pages are new to the process in the rows that follow a large peer, which costs as much as the warp,
    while the floor's copy has its pages; and which rows these are depends on their order alone.
    """
    if platform.libc_ver()[0] == "glibc":
        trim_threshold, most_maps = -1, -4  # the numbers of mallopt's parameters
        ctypes.CDLL(None).mallopt(trim_threshold, -1)
        ctypes.CDLL(None).mallopt(most_maps, 0)


class Clock:
    """Medians of callables run in turn, so that what else the machine does meets all of them.

    On one CPU thread it counts processor time, which other programs disturb least.
    """

    def __init__(self, seconds: float, device: str) -> None:
        self.seconds = seconds
        self.device = device
        self.now = time.thread_time if device == "cpu" and torch.get_num_threads() == 1 else time.perf_counter

    def once(self, run: Callable[[], object]) -> float:
        start = self.now()
        run()
        if self.device == "cuda":
            torch.cuda.synchronize()
        return self.now() - start

    def medians(self, *runs: Callable[[], object]) -> list[float]:
        """Each runs for a twentieth of a second at a time, or twice if it is slow, until `seconds` have passed."""
        times: list[list[float]] = [[] for _ in runs]
        end = time.perf_counter() + self.seconds * len(runs)
        while not times[0] or time.perf_counter() < end:
            for run, own in zip(runs, times, strict=True):
                self.once(run)  # the one before has emptied the caches
                turn = time.perf_counter() + 0.05
                while len(own) < 2 or time.perf_counter() < turn:
                    own.append(self.once(run))
        return [statistics.median(own) for own in times]


def forward(warp: Warp, image: Tensor, flow: Tensor) -> Callable[[], object]:
    @torch.no_grad()
    def run() -> None:
        warp(image, flow)

    return run


def forward_and_backward(warp: Warp, image: Tensor, flow: Tensor) -> Callable[[], object]:
    """With gradients of image and flow."""
    image, flow = image.clone().requires_grad_(), flow.clone().requires_grad_()
    with torch.no_grad():
        cotangents = [torch.randn_like(output) for output in warp(image, flow)]
    return lambda: torch.autograd.grad(warp(image, flow), (image, flow), cotangents)


def copy_bandwidth(clock: Clock) -> float:
    """Bytes a second, read and written, of copying 256 MB: more than caches hold."""
    source = torch.zeros(64 << 20, device=clock.device)
    target = torch.empty_like(source)
    (seconds,) = clock.medians(lambda: target.copy_(source))
    return 2 * source.nbytes / seconds


def overheads(clock: Clock) -> list[float]:
    """Microseconds of a whole call on an 8 x 8 image: forward, forward + backward; a hundred at a time."""
    image, flow = torch.randn(1, 3, 8, 8, device=clock.device), torch.randn(1, 2, 8, 8, device=clock.device)
    runs = [part(forward_warp, image, flow) for part in (forward, forward_and_backward)]
    hundreds = [lambda run=run: [run() for _ in range(100)] for run in runs]
    return [seconds * 1e4 for seconds in clock.medians(*hundreds)]


def row(size: tuple[int, int, int], name: str, flow: Tensor, bandwidth: float, clock: Clock) -> str:
    n, images, side = size
    flow = flow.to(clock.device)
    image, finite = torch.randn(images, 3, side, side, device=clock.device), flow.nan_to_num(2.0 * side)
    cells = [f"{n} of {images}, {side}", name]
    for part, floor_bytes in ((forward, 36), (forward_and_backward, 88)):
        runs = part(forward_warp, image, flow), *(part(warp, image, finite) for warp in peers(clock.device).values())
        own, *theirs = clock.medians(*runs)
        share = floor_bytes * n * side**2 / bandwidth / own
        cells += [f"{own * 1e3:.3f} ms", *(f"{other / own:.1f} x" for other in theirs), f"{share:.0%}"]
    return table_line(cells)


def table_line(cells: list[str]) -> str:
    return "| " + " | ".join(f"{cell:>10s}" for cell in cells) + " |"


def table_head(device: str) -> list[str]:
    every = peers(device)
    names = ["flows, size", "flow", "forward", *every, "of floor", "and back", *every, "of floor"]
    return [table_line(names), table_line(["---:"] * len(names))]


def device_name(device: str) -> str:
    if device == "cuda":
        return torch.cuda.get_device_name()
    try:
        return re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())[0]
    except (OSError, IndexError):
        return platform.processor() or platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=SIZES, default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--save", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    clock, name = Clock(0.05 if options.quick else 0.4, options.device), device_name(options.device)
    today = datetime.datetime.now(datetime.UTC).date()

    lines: list[str] = []

    def say(*texts: str) -> None:
        lines.extend(texts)
        print(*texts, sep="\n", flush=True)

    implementation = "native" if options.device == "cpu" else "cuda"
    usable, _ = IMPLEMENTATIONS[implementation].available()
    bandwidth = copy_bandwidth(clock)
    say(f"# {name}, {today}", "", f"impl={implementation if usable else 'reference'}, {options.threads} CPU thread(s),")
    say(f"torch {torch.__version__}, copy bandwidth {bandwidth / 1e9:.1f} GB/s;")
    say("a call on 8 x 8: {:.1f} us forward, {:.1f} us forward + backward.".format(*overheads(clock)), "")
    say(*table_head(options.device))
    for size in SIZES[options.device]:
        for kind, flow in make_flows(size[0], size[2]).items():
            say(row(size, kind, flow, bandwidth, clock))
    if options.save:
        RESULTS.mkdir(exist_ok=True)
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        (RESULTS / f"{slug}-{today}.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
