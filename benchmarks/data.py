"""Whether data arrive faster than training takes them: python benchmarks/data.py [--pairs SPEC] [--pictures SPEC]

Per second of one core, in one process and in turns, so that what else runs on the machine does not count: items made by
the loader, and items that the preset `best` learns from at 128 pixels (its generator's step, without discriminators).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import default_collate

from deformcli import registry
from deformcli.data.masks import open_masks
from deformcli.recipes import open_items
from deformcli.runtime import autocast

SIZE, BATCH, MASKS = 128, 8, 500


def rate(count: int, work: Callable[[], Any]) -> float:
    """Items a second of CPU time, all threads counted."""
    start = time.process_time()
    work()
    return count / (time.process_time() - start)


def learning(recipe: Any, batch: dict[str, torch.Tensor], step: int) -> None:
    """The generator's step on a batch, but for the optimizer."""
    with autocast(torch.device("cpu"), recipe.config.training.amp):
        terms, _ = recipe.generator_losses(batch, step)
        total = sum(terms.values())
    total.backward()
    recipe.generator.zero_grad()


def compare(task: str, spec: str, rounds: int) -> tuple[float, float, float]:
    """Items a second of a core: the loader's first look at a picture, later ones, and what training takes."""
    kind = registry.choose("recipe", task, registry.recipes())
    recipe = kind(kind.presets["best"])
    items = open_items(recipe, recipe.config, [spec], "train", length=1_000_000)
    items[BATCH]  # what is made once for all
    first = rate(BATCH, lambda: [items[index] for index in range(BATCH)])
    batch = default_collate([items[index] for index in range(BATCH)])
    step = getattr(recipe.config, "flow_warmup", 0)
    learning(recipe, batch, step)
    loads, learns = [], []
    for _ in range(rounds):
        loads.append(rate(2 * BATCH, lambda: [items[index % BATCH] for index in range(2 * BATCH)]))
        learns.append(rate(BATCH, lambda: learning(recipe, batch, step)))
    return first, max(loads), max(learns)


def row(what: str, ours: float, needed: float, limit: float) -> None:
    print(f"{what:<44} {ours:8.0f} {needed:8.0f} {ours / needed:8.1f} {limit:8.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", metavar="SPEC", help="for frontalize, such as rotated:portraits")
    parser.add_argument("--pictures", metavar="SPEC", help="for inpaint, such as folder:photos")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    print(f"{'items a second of a core':<44} {'data':>8} {'needed':>8} {'ratio':>8} {'at least':>8}")
    for masks in open_masks(["strokes"], "train"):
        speeds = [
            rate(200, lambda m=masks: [m.draw(np.random.default_rng((0, i)), SIZE) for i in range(200)])
            for _ in range(options.rounds)
        ]
        row(f"strokes:{masks.name}", max(speeds), MASKS / 2, 1.0)
    for task, spec in (("frontalize", options.pairs), ("inpaint", options.pictures)):
        if spec:
            first, load, learn = compare(task, spec, options.rounds)
            row(f"{task}, {spec.partition(':')[0]}: new pictures", first, learn, 0.0)
            row(f"{task}, {spec.partition(':')[0]}", load, learn, 3.0)


if __name__ == "__main__":
    main()
