"""What metrics cost beside the networks that are measured: python benchmarks/evaluate.py [--pairs 1000] [--device cpu]

Ratios to the time of the task's own network on the same pictures, measured in turns in one run; below 1 the metrics are
the cheaper part. The networks' features of the true pictures are not counted: all methods share them. On a CPU it is
this process's time, whatever else runs. Random weights cost what trained ones do.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch

from deform_frontalize.config import BEST as FRONTALIZE
from deform_frontalize.networks import Generator as Frontalizing
from deform_inpaint.config import BEST as INPAINT
from deform_inpaint.networks import Generator as Inpainting
from deformcli.faces import NETWORKS, crop_points
from deformcli.faces.align import align
from deformcli.metrics import hole_psnr, mse, psnr, ssim
from deformcli.metrics.perceptual import perceptual_distance
from deformcli.models.embedders import CompactVGG19Features, MobileFaceNet
from deformcli.runtime import choose_device

BATCH = 16
Contestant = Callable[[torch.Tensor, torch.Tensor], object]
"""Works on a batch of pictures and their truths (N, 3, 128, 128)."""


def contestants(device: torch.device) -> dict[str, Contestant]:
    """What is timed, by name."""
    frontalize, inpaint = Frontalizing(FRONTALIZE.generator), Inpainting(INPAINT.generator)
    face, vgg = MobileFaceNet(), CompactVGG19Features()
    for network in (frontalize, inpaint, face, vgg):
        network.to(device).eval()
    kind = NETWORKS["mobilefacenet"]
    points = np.repeat(crop_points(128, 128)[None], BATCH, 0)
    known = (torch.rand(BATCH, 1, 128, 128, device=device) > 0.15).float()

    known_features = vgg(torch.rand(BATCH, 3, 128, 128, device=device))

    def embed(image: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return face(align(image, points, kind.points, kind.side))

    return {
        "frontalize": lambda image, target: frontalize(image),
        "inpaint": lambda image, target: inpaint(image, known),
        "mse, psnr, ssim": lambda image, target: (mse(image, target), psnr(image, target), ssim(image, target)),
        "holes": lambda image, target: hole_psnr(image, target, known),
        "identity": embed,
        "perceptual": lambda image, target: perceptual_distance(vgg(image), known_features),
    }


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--device", default="auto")
    given = parser.parse_args()
    device = choose_device(given.device)
    timed = contestants(device)
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    seconds = dict.fromkeys(timed, 0.0)
    for start in range(-BATCH, given.pairs, BATCH):  # the first batch warms up
        image, target = torch.rand(2, BATCH, 3, 128, 128, device=device) * 2 - 1
        for name, run in timed.items():
            begin = clock()
            run(image, target)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            seconds[name] += (clock() - begin) * (start >= 0)
    print(f"{given.pairs} pairs of 128 x 128 on {device}")
    print(f"{'':18}{'ms a pair':>10}{'/ frontalize':>14}{'/ inpaint':>11}")
    for name, total in seconds.items():
        ratios = total / seconds["frontalize"], total / seconds["inpaint"]
        print(f"{name:18}{total / given.pairs * 1e3:10.2f}{ratios[0]:14.2f}{ratios[1]:11.2f}")


if __name__ == "__main__":
    main()
