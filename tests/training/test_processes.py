"""Several processes that train as one: real ones, with gloo on the CPU, started by the launchers that people use."""

from __future__ import annotations

import itertools
import json
import re
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
from pathlib import Path
import torch
from deform_frontalize.recipe import FrontalizeRecipe
from deform_inpaint.recipe import InpaintRecipe
from deformcli.weights.networks import save_tensors
from deformcli.training.processes import joined
from deformcli.recipes import open_items, override
from deformcli.training.trainer import Trainer

torch.set_num_threads(1)
folder, task, changes = Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
kind = {"inpaint": InpaintRecipe, "frontalize": FrontalizeRecipe}[task]

class Turned(torch.utils.data.Dataset):
    def __getitem__(self, index):
        image = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(index)) * 2 - 1
        flow, ones = torch.full((2, 64, 64), 2.0), torch.ones(1, 64, 64)
        target = image.roll((2, 2), (1, 2))
        return {"image": image, "target": target, "flow": flow, "seen": ones, "face": ones, "yaw": ones[0, 0, 0]}

with joined("cpu") as processes:
    recipe = kind(override(kind.presets["best"], changes))
    seen = []
    def items(size):
        photos, how = [f"folder:{folder}/data"], {"size": size, "length": 24}
        data = Turned() if task == "frontalize" else open_items(recipe, recipe.config, photos, "train", **how)
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
            kept = ("exp_avg", "running")
            first_step.update({f"first/{k}": v.clone() for k, v in tensors.items() if any(part in k for part in kept)})
    trainer.run(note, {})
    about = {"seen": seen, "count": processes.count}
    path = folder / f"{processes.count}-{processes.index}.safetensors"
    save_tensors(path, trainer.training_step.tensors() | first_step, about)
"""
SMALL = ["batch_size=8", "steps=3", "workers=0", "amp=off", "log_every=1", "sample_every=0", "eval_every=0"]
SMALL += ["generator_lr=1e-2", "adversarial_from=0", "ema=0.5", "warmup=0"]
ALIKE = {
    # means over holes are those of each process, and of each part
    "inpaint": (2, ["losses.gap=0.1", "training.size=32", "generator.flows=1", "generator.regressor_width=2"]),
    # batch normalisation is that of all processes, but of each part; no mean here is over some pixels alone
    "frontalize": (1, ["losses.pix1=0", "losses.gap=0", "training.size=64", "training.start_size=0", "flow_warmup=0"]),
}
ALIKE["inpaint"][1].extend(["generator.merger_width=2", "generator.residual_blocks=1"])
ALIKE["frontalize"][1].extend(["generator.regressor_widths=4,4,6,6,8", "generator.inpainter_widths=4,6,8"])


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


@pytest.mark.parametrize("task", ALIKE)
def test_two_processes_learn_what_one_learns(photos, environment, task):
    script, (parts, changes) = photos / "together.py", ALIKE[task]
    script.write_text(textwrap.dedent(TRAIN))
    args = [str(script), str(photos), task, *(f"training.{value}" for value in SMALL), *changes]
    run([*TORCHRUN, *args], environment, photos)
    run([*args, f"training.grad_accum={parts}"], environment, photos)
    files = [load_tensors(photos / f"{name}.safetensors") for name in ("2-0", "2-1", "1-0")]
    (first, seen_first), (second, seen_second), (alone, seen_alone) = files

    assert (seen_first["count"], seen_second["count"], seen_alone["count"]) == (2, 2, 1)
    assert seen_first["seen"] == [*range(0, 4), *range(8, 12), *range(16, 20)]
    assert seen_second["seen"] == [*range(4, 8), *range(12, 16), *range(20, 24)]
    assert seen_alone["seen"] == list(range(24))

    assert [key for key, value in first.items() if not torch.equal(value, second[key])] == []
    noted = [key for key in first if key.startswith("first/")]  # later steps differ by what Adam makes of rounding
    assert len(noted) > 50
    kinds = ("_optimizer", "s?/.*running_mean", "s?/.*running_var")
    for side, what in itertools.product(("generator", "discriminator"), kinds):
        keys = [key for key in noted if re.match(f"first/{side}{what}", key) and not key.endswith("exp_avg_sq")]
        if keys:
            together, one = (torch.cat([state[key].flatten() for key in keys]) for state in (first, alone))
            assert (together - one).norm() <= 3e-3 * one.norm(), keys[0]

    assert sorted(path.name for path in photos.glob("run-*")) == ["run-1", "run-2"]
    logs = [(photos / f"run-{count}/log.jsonl").read_text().splitlines() for count in (2, 1)]
    assert [len(lines) for lines in logs] == [3, 3]
    mean, whole = (json.loads(lines[0]) for lines in logs)
    timing = ("images_per_second", "waiting")
    assert {k: v for k, v in mean.items() if k not in timing} == pytest.approx(
        {k: v for k, v in whole.items() if k not in timing}, rel=1e-3, abs=2e-6
    )
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
