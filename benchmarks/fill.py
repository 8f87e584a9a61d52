"""Nearest-neighbour hole fill: the C++ scan against the torch reference and SciPy's exact distance transform.

    python benchmarks/fill.py [--rounds 5]

Prints, for each size, medians in one run and the ratio to the C++ scan. A fifth of the pixels are holes.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from deformcli.warp import native
from deformcli.warp.fill import nearest_known_reference

SIZES = {"K = 10 x batch 16 at 128": (160, 128, 128), "1 x 2048 x 2048": (1, 2048, 2048)}


def scipy_nearest(present: Tensor) -> list:
    return [distance_transform_edt(~picture.numpy(), False, True) for picture in present]


def median_seconds(run: Callable[[], object], rounds: int) -> float:
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    methods = {"native": native.nearest_known, "torch reference": nearest_known_reference, "scipy": scipy_nearest}
    for name, shape in SIZES.items():
        present = torch.rand(shape, generator=torch.Generator().manual_seed(0)) < 0.8
        print(f"{name}, {torch.get_num_threads()} threads")
        least = 0.0
        for method, run in methods.items():
            seconds = median_seconds(lambda run=run, present=present: run(present), rounds)
            least = least or seconds
            print(f"  {method:16} {seconds * 1e3:10.1f} ms   {seconds / least:6.1f} x native")


if __name__ == "__main__":
    main()
