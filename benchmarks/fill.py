"""Hole fills: the nearest known pixel and the smooth surface, in C++ against the torch references and SciPy.

    python benchmarks/fill.py [--rounds 5]

Prints, for each size, medians in one run and the ratio to the first. A fifth of the pixels are holes; for the smooth
fill, a square of a third of the side. With a GPU, the references on it too.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from deformcli.warp import cuda, native, reference
from deformcli.warp.fill import pyramid_fill, smooth_fill_reference

SIZES = {"K = 10 x batch 16 at 128": (160, 128, 128), "1 x 2048 x 2048": (1, 2048, 2048)}
SMOOTH_SIZES = {"16 at 128": (16, 128, 128), "1 x 512 x 512": (1, 512, 512)}


def scipy_nearest(present: Tensor) -> list:
    return [distance_transform_edt(~picture.numpy(), False, True) for picture in present]


def median_seconds(run: Callable[[], object], rounds: int) -> float:
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        run()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def compare(title: str, methods: dict[str, Callable[[], object]], rounds: int) -> None:
    print(f"{title}, {torch.get_num_threads()} threads")
    first = 0.0
    for method, run in methods.items():
        seconds = median_seconds(run, rounds)
        first = first or seconds
        print(f"  {method:16} {seconds * 1e3:10.1f} ms   {seconds / first:6.1f} x")


def compare_nearest(title: str, shape: tuple[int, int, int], rounds: int) -> None:
    present = torch.rand(shape, generator=torch.Generator().manual_seed(0)) < 0.8
    methods: dict[str, Callable[[], object]] = {
        "native": lambda: native.nearest_known(present),
        "torch reference": lambda: reference.nearest_known(present),
        "scipy": lambda: scipy_nearest(present),
    }
    if torch.cuda.is_available():
        there = present.cuda()
        methods["CUDA"] = lambda: cuda.nearest_known(there)
        methods["reference on GPU"] = lambda: reference.nearest_known(there)
    compare(f"nearest, {title}", methods, rounds)


def compare_smooth(title: str, shape: tuple[int, int, int], rounds: int) -> None:
    n, h, w = shape
    known = torch.ones(n, 1, h, w)
    known[..., h // 3 : 2 * h // 3, w // 3 : 2 * w // 3] = 0
    image = torch.rand(n, 3, h, w, generator=torch.Generator().manual_seed(0))
    guess, present = pyramid_fill(image * known, known), known > 0
    methods: dict[str, Callable[[], object]] = {
        "native": lambda: native.smooth_fill(guess, present[:, 0], 200, 1e-3),
        "torch reference": lambda: smooth_fill_reference(guess, present, 200, 1e-3),
    }
    if torch.cuda.is_available():
        guess_there, present_there = guess.cuda(), present.cuda()
        methods["on the GPU"] = lambda: smooth_fill_reference(guess_there, present_there, 200, 1e-3)
    compare(f"smooth, {title}", methods, rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    for title, shape in SIZES.items():
        compare_nearest(title, shape, rounds)
    for title, shape in SMOOTH_SIZES.items():
        compare_smooth(title, shape, rounds)


if __name__ == "__main__":
    main()
