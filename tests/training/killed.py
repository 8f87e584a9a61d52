"""A program for test_killed: trains in a child, kills that again and again, and writes what was left each time.

python killed.py FOLDER TIMES SEED
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch
from torch.utils.data import Dataset

from deform_inpaint.recipe import InpaintRecipe
from deformcli.recipes import override
from deformcli.runs import CHECKPOINT
from deformcli.training.processes import Processes
from deformcli.training.trainer import Trainer
from deformcli.weights.networks import load_tensors

STEPS, SAVE_EVERY = 300, 2
SMALL = ["size=32", "batch_size=1", "workers=0", "amp=off", "log_every=1", f"save_every={SAVE_EVERY}"]
NARROW = ["flows=1", "regressor_width=2", "merger_width=2", "residual_blocks=1"]


class Squares(Dataset):
    """A grey picture with a hole."""

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        known = torch.ones(1, 32, 32)
        known[:, 8:12, 8:12] = 0
        return {"image": torch.full((3, 32, 32), index % 7 / 7), "known": known, "kind": torch.tensor(0)}


def trainer(out: Path, steps: int) -> Trainer:
    """A trainer of a tiny network, restored if there is a checkpoint."""
    changes = [f"training.{value}" for value in [*SMALL, f"steps={steps}"]] + [f"generator.{value}" for value in NARROW]
    recipe = InpaintRecipe(override(InpaintRecipe.presets["best"], changes))
    made = Trainer(recipe, lambda size: Squares(), out, Processes(torch.device("cpu")))
    if (out / CHECKPOINT).exists():
        made.restore(out / CHECKPOINT)
    return made


def killed(out: Path, steps: int, delay: float) -> int:
    """Train in a child until it has told of `steps` more steps, kill it a little later; its last step."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        trainer(out, STEPS).run(lambda step, numbers: os.write(writing, step.to_bytes(4)) and None, {})
        os._exit(0)
    os.close(writing)
    told = b""
    while len(told) < 4 * steps and (more := os.read(reading, 4)):
        told += more
    time.sleep(delay)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while more := os.read(reading, 4096):
        told += more
    os.close(reading)
    return int.from_bytes(told[-4:])


def main(out: Path, times: int, seed: int) -> None:
    torch.set_num_threads(1)
    trainer(out.with_name("first"), 1).run(lambda step, numbers: None, {})  # children inherit what it imports
    rng = random.Random(seed)
    for _ in range(times):
        last = killed(out, rng.randint(1, 5), rng.uniform(0, 0.1))
        saved = load_tensors(out / CHECKPOINT)[1]["step"] if (out / CHECKPOINT).exists() else 0
        whole = all(load_tensors(path) for path in out.glob("*.safetensors"))
        sys.stdout.write(json.dumps({"last": last, "saved": saved, "whole": whole}) + "\n")
        sys.stdout.flush()
    end = trainer(out, STEPS)
    trainer(out, end.step + 2).run(lambda step, numbers: None, {})


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
