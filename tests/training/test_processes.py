"""Several processes that train as one: real ones, with gloo on the CPU, started by the launchers that people use."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from deformcli.training.processes import Processes, joined
from deformcli.weights.networks import load_tensors

TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
LAUNCHERS = {
    "torchrun": TORCHRUN,
    "accelerate": ["-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2", "--main_process_port", "0"],
}
TRAIN = """
import sys
from dataclasses import replace
from pathlib import Path
import torch
from deform_inpaint.recipe import InpaintRecipe
from deformcli.weights.networks import save_tensors
from deformcli.training.processes import joined
from deformcli.recipes import open_items, override
from deformcli.training.trainer import Trainer

torch.set_num_threads(1)
folder, parts = Path(sys.argv[1]), sys.argv[2]
small = ["size=32", "batch_size=8", "steps=3", "workers=0", "amp=off", "generator_lr=1e-2", f"grad_accum={parts}"]
narrow = ["flows=1", "regressor_width=2", "merger_width=2", "residual_blocks=1"]
changes = [f"training.{s}" for s in small] + [f"generator.{s}" for s in narrow] + ["losses.adversarial=0.1"]
changes += ["training.adversarial_from=0", "training.ema=0.5", "training.warmup=0"]
with joined("cpu") as processes:
    recipe = InpaintRecipe(override(InpaintRecipe.presets["best"], changes))
    seen = []
    def items(size):
        data = open_items(recipe, recipe.config, [f"folder:{folder}/data"], "train", size=size, length=24)
        class Noted(torch.utils.data.Dataset):
            def __getitem__(self, index):
                seen.append(index)
                return data[index]
        return Noted()
    trainer = Trainer(recipe, items, folder / f"run-{processes.count}", processes)
    first_step = {}
    def note(step, losses):
        if step == 1:
            tensors = trainer.training_step.tensors()
            first_step.update({f"first/{key}": value.clone() for key, value in tensors.items() if "exp_avg" in key})
    trainer.run(note, {})
    about = {"seen": seen, "count": processes.count}
    path = folder / f"{processes.count}-{processes.index}.safetensors"
    save_tensors(path, trainer.training_step.tensors() | first_step, about)
"""


@pytest.fixture
def photos(tmp_path) -> Path:
    (tmp_path / "data").mkdir()
    for number in range(20):
        picture = np.random.default_rng(number).integers(0, 256, (40, 40, 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / f"data/{number}.png"), picture)
    return tmp_path


def run(command: list[str], environment: dict[str, str], folder: Path) -> str:
    alone = environment | {"OMP_NUM_THREADS": "1"}
    ended = subprocess.run(
        [sys.executable, *command], env=alone, cwd=folder, capture_output=True, text=True, timeout=500, check=False
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    return ended.stderr


def test_two_processes_learn_what_one_learns_in_two_parts(photos, environment):
    script = photos / "together.py"
    script.write_text(textwrap.dedent(TRAIN))
    run([*TORCHRUN, str(script), str(photos), "1"], environment, photos)
    run([str(script), str(photos), "2"], environment, photos)
    files = [load_tensors(photos / f"{name}.safetensors") for name in ("2-0", "2-1", "1-0")]
    (first, seen_first), (second, seen_second), (alone, seen_alone) = files

    assert (seen_first["count"], seen_second["count"], seen_alone["count"]) == (2, 2, 1)
    assert seen_first["seen"] == [*range(0, 4), *range(8, 12), *range(16, 20)]
    assert seen_second["seen"] == [*range(4, 8), *range(12, 16), *range(20, 24)]
    assert seen_alone["seen"] == list(range(24))

    assert [key for key, value in first.items() if not torch.equal(value, second[key])] == []
    moments = [key for key in first if key.startswith("first/")]  # later steps differ by what Adam makes of rounding
    assert len(moments) > 50
    for key in moments:
        assert torch.allclose(first[key], alone[key], rtol=1e-3, atol=1e-6), key

    assert sorted(path.name for path in photos.glob("run-*")) == ["run-1", "run-2"]
    assert len((photos / "run-2/log.jsonl").read_text().splitlines()) == 1
    assert json.loads((photos / "run-2/run.json").read_text())["processes"] == 2


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_the_same_command_under_a_launcher(photos, environment, launcher):
    small = ["size=32", "batch_size=2", "workers=0", "log_every=1"]
    narrow = ["flows=1", "regressor_width=2", "merger_width=2", "residual_blocks=1"]
    settings = [f"--set=training.{value}" for value in small] + [f"--set=generator.{value}" for value in narrow]
    command = ["-m", "deformcli", "train", "inpaint", "--data", "folder:data", "--out", "run", "--device", "cpu"]
    said = run([*LAUNCHERS[launcher], *command, "--steps", "2", *settings], environment, photos)
    assert said.count("step 2/2") == said.count("use it:") == 1
    lines = [json.loads(line) for line in (photos / "run/log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "total" in line] == [1, 2]
    assert load_tensors(photos / "run/checkpoint.safetensors")[1]["step"] == 2


def test_one_process_alone(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with joined("cpu") as processes:
        assert processes == Processes(torch.device("cpu"))
        assert processes.leading
        assert processes.any(True) and not processes.any(False)
