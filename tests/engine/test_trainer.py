"""The training loop: what it learns, what it leaves alone, and that stopping changes nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from deform_frontalize.recipe import FrontalizeRecipe
from deform_inpaint.recipe import InpaintRecipe
from deformcli.engine.checkpoint import load_generator, load_tensors, without_prefix
from deformcli.engine.trainer import MAX_BAD_STEPS, Trainer
from deformcli.errors import DeformError, UsageError, WeightsError

CPU = torch.device("cpu")
RECIPES = {"frontalize": FrontalizeRecipe, "inpaint": InpaintRecipe}


class Faces(Dataset):
    """Made-up items of either task, each a function of its index alone; those in `bad` are not finite."""

    def __init__(self, task: str, size: int = 64, bad: tuple[int, ...] = ()) -> None:
        self.task, self.size, self.bad = task, size, bad

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        torch_rng = torch.Generator().manual_seed(index)
        small = torch.rand(1, 3, 8, 8, generator=torch_rng) * 2 - 1
        image = torch.nn.functional.interpolate(small, (self.size, self.size), mode="bilinear")[0]
        if index in self.bad:
            image = image * torch.nan
        ones = torch.ones(1, self.size, self.size)
        if self.task == "frontalize":
            flow = torch.full((2, self.size, self.size), 2.0)
            target = image.roll((2, 2), (1, 2))
            return {"image": image, "target": target, "flow": flow, "seen": ones, "face": ones, "yaw": ones[0, 0, 0]}
        known = ones.clone()
        known[:, 10:20, 12:14] = 0
        return {"image": image, "known": known, "kind": torch.tensor(0)}


@pytest.fixture
def make_trainer(tiny_config, tmp_path):
    """`make_trainer("inpaint", "fw-gap", "training.steps=4", out="a", bad=(3,))`; the pictures are made up."""

    def make(task: str, preset: str, *changes: str, out: str = "run", bad: tuple[int, ...] = ()) -> Trainer:
        config = tiny_config(task, preset, *changes)
        return Trainer(RECIPES[task](config), Faces(task, config.training.size, bad), tmp_path / out, CPU)

    return make


def quiet(step: int, losses: dict[str, float]) -> None:
    """A report that says nothing."""


def state_of(trainer: Trainer) -> dict[str, torch.Tensor]:
    """Everything a checkpoint holds, as the trainer writes it."""
    trainer.out.mkdir(exist_ok=True)
    trainer.save()
    return load_tensors(trainer.out / "checkpoint.safetensors")[0]


def assert_same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert first.keys() == second.keys()
    assert [key for key, value in first.items() if not torch.equal(value, second[key])] == []


INTERRUPTIONS = [
    ("inpaint", "fw-gap", ()),
    ("inpaint", "best", ("training.decay=true",)),
    ("frontalize", "fw-gap", ()),
    ("frontalize", "best", ("flow_warmup=1", "training.adversarial_from=2", "training.clip=0.1")),
]


@pytest.mark.parametrize(("task", "preset", "changes"), INTERRUPTIONS)
def test_a_resumed_run_ends_bit_equal(make_trainer, task, preset, changes):
    changes = ("training.steps=4", "training.sample_every=3", *changes)
    whole = make_trainer(task, preset, *changes, out="whole")
    whole.run(quiet)

    def stop_after_two(step: int, losses: dict[str, float]) -> None:
        if step == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    first = make_trainer(task, preset, *changes, out="parts")
    with pytest.raises(KeyboardInterrupt):
        first.run(stop_after_two)
    assert first.step == 2

    torch.manual_seed(99)  # another process
    second = make_trainer(task, preset, *changes, out="parts")
    second.restore(second.out / "checkpoint.safetensors")
    assert second.step == 2
    second.run(quiet)
    for name in ("checkpoint.safetensors", "weights.safetensors"):
        (expected, about), (found, about_found) = (load_tensors(trainer.out / name) for trainer in (whole, second))
        assert_same(expected, found)
        assert about == about_found


def test_signals_are_as_before_when_a_run_has_ended(make_trainer):
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    make_trainer("inpaint", "best", "training.steps=1").run(quiet)
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


@pytest.mark.parametrize("task", RECIPES)
def test_one_step_of_the_thesis_moves_both_players(make_trainer, task):
    trainer = make_trainer(task, "fw-gap", "training.steps=1")
    networks = {"generator": trainer.generator, **trainer.discriminators}
    before = {name: [p.clone() for p in network.parameters()] for name, network in networks.items()}
    losses = trainer.train_step(next(trainer._batches()))
    common = {"total", "rigidity", "adversarial", "gap", "patch_loss", "gap_loss"}
    assert set(losses) == common | {"frontalize": {"pix1", "pix2"}, "inpaint": {"l1"}}[task]
    assert all(np.isfinite(value) for value in losses.values())
    for name, network in networks.items():
        moved = [not torch.equal(a, b) for a, b in zip(before[name], network.parameters(), strict=True)]
        assert sum(moved) > len(moved) / 2, name


@pytest.mark.parametrize("task", RECIPES)
def test_each_players_step_leaves_the_other_as_it_is(make_trainer, monkeypatch, task):
    trainer = make_trainer(task, "fw-gap", "training.steps=1")
    judge = trainer.recipe.discriminator_losses
    start = [p.clone() for p in trainer.discriminators.parameters()]
    between = []

    def note(batch, made):  # called when the generator has moved and the judges have not
        assert all(p.grad is None and p.requires_grad for p in trainer.discriminators.parameters())
        assert all(torch.equal(a, b) for a, b in zip(start, trainer.discriminators.parameters(), strict=True))
        between.extend(p.clone() for p in trainer.generator.parameters())
        return judge(batch, made)

    monkeypatch.setattr(trainer.recipe, "discriminator_losses", note)
    trainer.train_step(next(trainer._batches()))
    assert len(between) > 0
    assert all(torch.equal(a, b) for a, b in zip(between, trainer.generator.parameters(), strict=True))


def test_judges_learn_to_tell_real_from_made(make_trainer):
    """Against a generator that stands still."""
    trainer = make_trainer("frontalize", "fw-gap", "training.generator_lr=0", "training.discriminator_lr=0.001")
    batch = next(trainer._batches())
    losses = [trainer.train_step(batch) for _ in range(12)]
    assert losses[-1]["patch_loss"] < 0.7 * losses[0]["patch_loss"]
    assert losses[-1]["gap_loss"] < 0.7 * losses[0]["gap_loss"]


@pytest.mark.parametrize("task", RECIPES)
def test_judges_enter_when_they_are_told_to(make_trainer, task):
    trainer = make_trainer(task, "fw-gap", "training.steps=2", "training.adversarial_from=1")
    before = [p.clone() for p in trainer.discriminators.parameters()]
    batches = trainer._batches()
    assert not {"adversarial", "gap", "patch_loss", "gap_loss"} & set(trainer.train_step(next(batches)))
    assert all(torch.equal(a, b) for a, b in zip(before, trainer.discriminators.parameters(), strict=True))
    trainer.step = 1
    assert {"adversarial", "gap", "patch_loss", "gap_loss"} <= set(trainer.train_step(next(batches)))


def test_the_first_steps_are_for_the_flow_alone(make_trainer):
    trainer = make_trainer("frontalize", "best", "flow_warmup=1", "training.steps=2")
    before = [p.clone() for p in trainer.generator.inpainter.parameters()]
    batches = trainer._batches()
    assert set(trainer.train_step(next(batches))) == {"total", "rigidity", "flow", "visibility"}
    assert all(torch.equal(a, b) for a, b in zip(before, trainer.generator.inpainter.parameters(), strict=True))
    trainer.step = 1
    assert {"pix1", "pix2", "gradient"} <= set(trainer.train_step(next(batches)))


@pytest.mark.parametrize("task", RECIPES)
def test_a_step_that_is_not_finite_changes_nothing(make_trainer, task):
    """Item 1 is not finite; the batch of items 2 and 3 trains as if it had been the first."""
    trainer = make_trainer(task, "fw-gap", "training.steps=2", out="bad", bad=(1,))
    batches = trainer._batches()
    before = state_of(trainer)
    assert trainer.train_step(next(batches)) == {"skipped": 1.0}
    assert_same(before, state_of(trainer))
    assert trainer.bad_steps == 1
    assert "skipped" not in trainer.train_step(next(batches))
    assert trainer.bad_steps == 0
    assert all(torch.isfinite(value).all() for value in state_of(trainer).values() if value.is_floating_point())


def test_judges_do_not_take_a_step_that_is_not_finite(make_trainer, monkeypatch):
    trainer = make_trainer("inpaint", "fw-gap")
    judge = trainer.recipe.discriminator_losses
    spoilt = lambda batch, made: {k: v * torch.nan for k, v in judge(batch, made).items()}  # noqa: E731
    monkeypatch.setattr(trainer.recipe, "discriminator_losses", spoilt)
    before = [p.clone() for p in trainer.discriminators.parameters()]
    assert trainer.train_step(next(trainer._batches())) == {"skipped": 1.0}
    assert all(torch.equal(a, b) for a, b in zip(before, trainer.discriminators.parameters(), strict=True))


def test_a_run_that_is_never_finite_ends_with_advice(make_trainer):
    trainer = make_trainer("inpaint", "best", "training.steps=40", bad=tuple(range(100)))
    with pytest.raises(DeformError, match=f"{MAX_BAD_STEPS} losses in a row") as caught:
        trainer.run(quiet)
    assert trainer.step == MAX_BAD_STEPS - 1
    assert "generator_lr" in caught.value.remedy


def test_training_lowers_the_loss(make_trainer):
    trainer = make_trainer("frontalize", "best", "flow_warmup=100", "training.generator_lr=0.01", "training.warmup=0")
    batch = next(trainer._batches())
    losses = [trainer.train_step(batch)["flow"] for _ in range(15)]
    assert losses[-1] < 0.7 * losses[0]


def test_what_a_run_writes(make_trainer):
    told = []
    settings = ("training.steps=5", "training.log_every=2", "training.sample_every=2", "training.save_every=2")
    trainer = make_trainer("inpaint", "best", *settings)
    trainer.run(lambda step, losses: told.append((step, losses["total"])))
    lines = [json.loads(line) for line in (trainer.out / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4, 5]
    assert [line["total"] for line in lines] == [dict(told)[step] for step in (2, 4, 5)]
    assert all(line["images_per_second"] > 0 for line in lines)
    assert [step for step, _ in told] == [1, 2, 3, 4, 5]
    assert sorted(path.name for path in (trainer.out / "samples").iterdir()) == ["0000002.png", "0000004.png"]
    sheet = cv2.imread(str(trainer.out / "samples/0000002.png"))
    assert sheet.shape == (2 * 64, 5 * 64, 3)  # 2 items; input, flow, warp, output, target
    assert {path.name for path in trainer.out.iterdir()} == {
        "log.jsonl",
        "samples",
        "checkpoint.safetensors",
        "weights.safetensors",
    }


@pytest.mark.parametrize("task", RECIPES)
def test_samples_do_not_disturb_the_run(make_trainer, task):
    """Also before the flow's warm-up has ended, when training makes no pictures."""
    changes = ["flow_warmup=10"] if task == "frontalize" else []
    preset = "best" if task == "frontalize" else "fw-gap"
    with_samples, without = (
        make_trainer(task, preset, "training.steps=2", f"training.sample_every={every}", *changes, out=str(every))
        for every in (1, 100)
    )
    with_samples.run(quiet)
    without.run(quiet)
    assert len(list((with_samples.out / "samples").iterdir())) == 2
    assert_same(state_of(with_samples), state_of(without))


def test_exported_weights_are_the_running_average(make_trainer):
    trainer = make_trainer("inpaint", "best", "training.ema=0.5", "training.generator_lr=0.1", "training.warmup=0")
    batch = next(trainer._batches())
    name, start = "regressor.head.weight", trainer.generator.regressor.head.weight.clone()
    trainer.train_step(batch)  # step 0: the decay is (1 + 0) / (10 + 0)
    value = trainer.generator.regressor.head.weight
    mean = trainer.average.regressor.head.weight
    assert torch.allclose(mean, 0.1 * start + 0.9 * value)
    assert not torch.allclose(mean, value, atol=1e-4)
    state_of(trainer)
    exported, _ = load_generator(trainer.out / "weights.safetensors", "inpaint")
    assert torch.allclose(exported[name], mean, atol=1e-3)


def test_learning_rate_warms_up_and_decays(make_trainer):
    trainer = make_trainer("inpaint", "best", "training.warmup=10", "training.decay=true", "training.steps=100")
    rates = {}
    for trainer.step in (0, 4, 9, 50, 100):
        rates[trainer.step] = round(trainer._rate(), 3)
    assert rates == {0: 0.1, 4: 0.498, 9: 0.98, 50: 0.5, 100: 0.0}


def test_clip_bounds_the_gradient(make_trainer):
    trainer = make_trainer("inpaint", "best", "training.clip=0.001")
    trainer.train_step(next(trainer._batches()))
    norms = [p.grad.norm() for p in trainer.generator.parameters() if p.grad is not None]
    assert torch.stack(norms).norm().item() == pytest.approx(0.001, rel=1e-3)


def test_a_checkpoint_of_another_run_is_refused(make_trainer):
    first = make_trainer("inpaint", "best")
    state_of(first)
    checkpoint, weights = first.out / "checkpoint.safetensors", first.out / "weights.safetensors"
    with pytest.raises(UsageError, match="no checkpoint of frontalize"):
        make_trainer("frontalize", "best").restore(checkpoint)
    with pytest.raises(UsageError, match="another architecture"):
        make_trainer("inpaint", "best", "generator.flows=3").restore(checkpoint)
    with pytest.raises(UsageError, match="no checkpoint"):
        make_trainer("inpaint", "best").restore(weights)
    checkpoint.write_bytes(checkpoint.read_bytes()[:-100])
    with pytest.raises(WeightsError, match="not a weights file"):
        make_trainer("inpaint", "best").restore(checkpoint)


def test_a_folder_that_cannot_be_made_is_named(make_trainer, tmp_path):
    (tmp_path / "run").write_text("a file")
    with pytest.raises(DeformError, match="run cannot be written"):
        make_trainer("inpaint", "best").run(quiet)


def test_an_unreadable_picture_is_named_by_the_process_that_trains(tiny_config, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/bad.png").write_bytes(b"no picture")
    recipe = InpaintRecipe(tiny_config("inpaint", "best", "training.workers=1", "training.steps=2"))
    data = recipe.dataset([("folder", tmp_path / "data")], "train", 4)
    with pytest.raises(UsageError, match=r"bad\.png: not a picture"):
        Trainer(recipe, data, tmp_path / "run", CPU).run(quiet)


@pytest.mark.parametrize("to_group", [False, True], ids=["the process", "its workers too"])
def test_sigterm_saves_and_ends_with_130(tmp_path, environment, to_group):
    for number in range(4):
        picture = np.random.default_rng(number).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        (tmp_path / "data").mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / f"data/{number}.png"), picture)
    out = tmp_path / "run"
    small = ["size=32", "batch_size=1", "save_every=100000", "sample_every=100000", "log_every=1", "workers=1"]
    narrow = ["flows=1", "regressor_width=2", "merger_width=2", "residual_blocks=1"]
    settings = [f"training.{value}" for value in small] + [f"generator.{value}" for value in narrow]
    command = [sys.executable, "-m", "deformcli", "train", "inpaint", "--data", f"folder:{tmp_path}/data"]
    command += ["--out", str(out), "--steps", "100000", "--threads", "1", *(f"--set={value}" for value in settings)]
    with (tmp_path / "stderr").open("w") as errors:
        process = subprocess.Popen(command, env=environment, stderr=errors, cwd=tmp_path, start_new_session=True)
    try:
        deadline = time.monotonic() + 60
        while not _lines(out / "log.jsonl") and time.monotonic() < deadline:
            time.sleep(0.1)
        (os.killpg if to_group else os.kill)(process.pid, signal.SIGTERM)
        assert process.wait(30) == 130
    finally:
        process.kill()
    saved, about = load_tensors(out / "checkpoint.safetensors")
    assert about["step"] == _lines(out / "log.jsonl") > 0
    assert without_prefix("generator", saved)
    assert "Traceback" not in (tmp_path / "stderr").read_text()


def _lines(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.exists() else 0
