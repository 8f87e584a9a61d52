"""What batch work costs beyond the network, and whether its memory grows: python benchmarks/batch.py [--task TASK]

The network alone gets the same pictures in the same batches from memory; both are measured in turns, and the least time
of each counts: the rest is others' doing.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from deform_frontalize.frontalizer import Frontalizer
from deform_inpaint.inpainter import Inpainter
from deformcli.batch import FunctionJob, run
from deformcli.faces.crops import crop
from deformcli.images import Picture, mask_known, read_image, to_tensor, to_uint8, write_image
from deformcli.options import BatchOptions
from deformcli.runtime import choose_device
from deformcli.weights import resolve_weights

EXAMPLES = Path(__file__).parents[1] / "examples"


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def inpaint() -> FunctionJob:
    inpainter = Inpainter.from_weights(resolve_weights("inpaint-128", task="inpaint"), choose_device("auto"))
    known = mask_known(read_image(EXAMPLES / "scratches.png"))

    def fill(pictures: Sequence[Picture]) -> list[Picture]:
        return [one.replaced(inpainter(one.rgb, known)) for one in pictures]

    return FunctionJob(fill)


def frontalize() -> FunctionJob:
    path = resolve_weights("frontalize-128", task="frontalize")
    frontalizer = Frontalizer.from_weights(path, choose_device("auto"))

    def turn(pictures: Sequence[Picture]) -> list[Picture]:
        made = frontalizer(torch.cat([to_tensor(crop(one.rgb, None)) for one in pictures])).output
        return [one.resized_to(to_uint8(face)) for one, face in zip(pictures, made, strict=True)]

    return FunctionJob(turn)


def throughput(name: str, task: FunctionJob, count: int, rounds: int) -> None:
    photo = read_image(EXAMPLES / "astronaut.jpg").rgb
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            write_image(np.roll(photo, 7 * number, (0, 1)), Path(folder) / "in" / f"{number:05}.jpg", quality=90)
        options = BatchOptions(inputs=[f"{folder}/in"], output=f"{folder}/out", exists="overwrite", no_progress=True)
        some = [read_image(path) for path in sorted(Path(folder).glob("in/*"))[: options.batch_size]]

        def alone() -> None:
            for start in range(0, count, len(some)):
                task.function(some[: count - start])

        pairs = [(seconds(alone), seconds(lambda: run(options, task))) for _ in range(rounds)]
    network, whole = (min(times) for times in zip(*pairs, strict=True))
    print(f"{count} photos of 512 x 512, {name}: network alone {network:.1f} s, folder to folder {whole:.1f} s")
    print(f"share of the network alone: {100 * network / whole:.0f} % (at least 90 %)")


def memory(count: int) -> None:
    sizes: list[tuple[int, float]] = []

    def negative(pictures: list[Picture]) -> list[Picture]:
        negative.seen += len(pictures)
        if negative.seen >= (len(sizes) + 1) * count / 10:
            sizes.append((negative.seen, resident()))
        return [picture.replaced(255 - picture.rgb) for picture in pictures]

    negative.seen = 0
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "in").mkdir()
        write_image(pixels, Path(name) / "in" / "0.png")
        data = (Path(name) / "in" / "0.png").read_bytes()
        for number in range(count):
            (Path(name) / "in" / f"{number}.png").write_bytes(data)
        options = BatchOptions(inputs=[f"{name}/in"], output=f"{name}/out", report=f"{name}/r.jsonl")
        run(options, FunctionJob(negative))
    print("\nfiles made   MiB resident")
    for seen, size in sizes:
        print(f"{seen:>10} {size:>14.1f}")


def resident() -> float:
    """MiB of memory that this process has now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", choices=["inpaint", "frontalize"], default="inpaint")
    parser.add_argument("--photos", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--files", type=int, default=20_000, help="small files for the memory; 0: leave it out")
    options = parser.parse_args()
    task = {"inpaint": inpaint, "frontalize": frontalize}[options.task]()
    throughput(options.task, task, options.photos, options.rounds)
    if options.files:
        memory(options.files)


if __name__ == "__main__":
    main()
