"""What a training step costs: python benchmarks/train.py [--recipe NAME] [--preset NAME] [--size 64] [--batch-size 4]

For each preset and number format: items a second, the ratio to plain fp32 (no channels_last), and the share of the rate
that a large matmul reaches in that format on this device (model FLOPs utilisation; both sides' networks counted).
Steps are the trainer's own, late in a run, when everything is switched on but the helper networks, whose files are not
here. With --data, items come from the trainer's loader, and the share of time spent waiting for them is told.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from deformcli import registry
from deformcli.recipes import open_items, override
from deformcli.runtime import choose_device
from deformcli.training.batches import batches
from deformcli.training.processes import Processes
from deformcli.training.step import TrainingStep

LATE = 10**9  # a step at which all losses are on
FORMATS = {"fp32": ("off", torch.float32), "bf16": ("bf16", torch.bfloat16), "fp16": ("fp16", torch.float16)}


def random_batches(size: int, count: int, device: torch.device) -> Iterator[dict[str, torch.Tensor]]:
    """What the data of both recipes have in common with real ones: shapes, ranges, holes."""
    noise = torch.rand(count, 3, size, size, device=device) * 2 - 1
    some = (noise[:, :1] > -0.8).float()
    flow = torch.zeros(count, 2, size, size, device=device)
    while True:
        yield {"image": noise, "target": noise.flip(-1), "known": some, "flow": flow, "seen": some, "face": some}


def clock(device: torch.device) -> float:
    """Seconds: on a CPU this process's own, whatever else runs."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.process_time() if device.type == "cpu" else time.perf_counter()


def matmul_rate(kind: torch.dtype, device: torch.device) -> float:
    """FLOPs a second of a large matmul: the best of several."""
    side = 8192 if device.type == "cuda" else 2048
    a, b = torch.rand(2, side, side, device=device).to(kind)
    seconds = []
    for _ in range(6):
        start = clock(device)
        a @ b
        seconds.append(clock(device) - start)
    return 2 * side**3 / min(seconds)


def measure(
    recipe: Any, data: list[str], steps: int, plain: bool, device: torch.device
) -> tuple[float, float, float | None]:
    """Seconds of a step (median), its FLOPs, and the share of time spent waiting for data, if there are any."""
    config, processes = recipe.config.training, Processes(device)
    training_step = TrainingStep(recipe, processes)
    if plain:
        for network in (training_step.generator, training_step.discriminators):
            network.to(memory_format=torch.contiguous_format)
    source = random_batches(config.size, config.batch_size, device)
    if data:
        items = open_items(recipe, recipe.config, data, "train", length=config.steps * config.batch_size)
        source = batches(lambda size: items, config, 0, processes)
    with FlopCounterMode(display=False) as counter:
        training_step(next(source), LATE)
    taken, waited, begin = [], 0.0, time.perf_counter()
    for _ in range(steps):
        asked = time.perf_counter()
        batch = next(source)
        waited += time.perf_counter() - asked
        start = clock(device)
        training_step(batch, LATE)
        taken.append(clock(device) - start)
    share = waited / (time.perf_counter() - begin) if data else None
    return statistics.median(taken), counter.get_total_flops(), share


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", action="append", help="frontalize, inpaint; may repeat")
    parser.add_argument("--preset", action="append", help="may repeat; default: all")
    parser.add_argument("--data", action="append", default=[], help="as in deform train; may repeat")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--device", default="auto")
    return parser.parse_args()


def main() -> None:
    given = arguments()
    device = choose_device(given.device)
    formats, compiled = (list(FORMATS), [False, True]) if device.type == "cuda" else (["fp32", "bf16"], [False])
    rates = {name: matmul_rate(FORMATS[name][1], device) for name in formats}
    print(f"{given.size} x {given.size}, {given.batch_size} items a step, {device}, {torch.get_num_threads()} threads")
    print(f"{'':22}{'':16}{'items/s':>9}{'/ plain':>9}{'of matmul':>11}{'waiting':>9}")
    ways = [("plain fp32", "fp32", False)]
    ways += [(name + " compiled" * fast, name, fast) for name in formats for fast in compiled]
    fixed = [f"size={given.size}", "start_size=0", f"batch_size={given.batch_size}", f"steps={given.steps + 2}"]
    for recipe in given.recipe or ["frontalize", "inpaint"]:
        kind = registry.choose("recipe", recipe, registry.recipes())
        for preset in given.preset or kind.presets:
            first = None
            for label, name, fast in ways:
                changes = [*fixed, f"amp={FORMATS[name][0]}", f"compile={fast}"]
                config = override(kind.presets[preset], [f"training.{change}" for change in changes])
                plain = label.startswith("plain")
                seconds, flops, waiting = measure(kind(config), given.data, given.steps, plain, device)
                first = first or seconds
                columns = (
                    f"{given.batch_size / seconds:9.2f}{first / seconds:9.2f}{flops / seconds / rates[name]:11.0%}"
                )
                told = "-" if waiting is None else f"{waiting:.1%}"
                print(f"{recipe + ' ' + preset:22}{label:16}{columns}{told:>9}", flush=True)


if __name__ == "__main__":
    main()
