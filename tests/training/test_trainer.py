"""The training loop: what it learns, what it leaves alone, and that stopping changes nothing."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import Dataset, Subset

from deform_frontalize.recipe import FrontalizeRecipe
from deform_inpaint.predictor import InpaintPredictor
from deform_inpaint.recipe import InpaintRecipe
from deformcli.data.files import Files
from deformcli.data.sources import Source
from deformcli.errors import DeformError, UsageError, WeightsError
from deformcli.recipes import open_items
from deformcli.training.batches import batches
from deformcli.training.checkpoint import without_prefix
from deformcli.training.processes import Processes
from deformcli.training.step import MAX_BAD_STEPS, learning_rate
from deformcli.training.trainer import Trainer
from deformcli.weights.networks import load_generator, load_tensors

ALONE = Processes(torch.device("cpu"))
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

    def make(
        task: str, preset: str, *changes: str, out: str = "run", bad: tuple[int, ...] = (), held_out: int = 0
    ) -> Trainer:
        recipe = RECIPES[task](tiny_config(task, preset, *changes))
        few = Subset(Faces(task, recipe.config.training.size), range(held_out)) if held_out else None
        return Trainer(recipe, lambda size: Faces(task, size, bad), tmp_path / out, ALONE, few)

    return make


def batches_of(trainer: Trainer) -> Iterator[dict[str, torch.Tensor]]:
    return batches(trainer.open_data, trainer.config, trainer.step, trainer.processes)


def first_batch(trainer: Trainer) -> dict[str, torch.Tensor]:
    return next(batches_of(trainer))


def quiet(step: int, losses: dict[str, float]) -> None:
    """A report that says nothing."""


def state_of(trainer: Trainer) -> dict[str, torch.Tensor]:
    """Everything a checkpoint holds, as the trainer writes it."""
    trainer.out.mkdir(exist_ok=True)
    with trainer._log({}, tensorboard=False) as log:
        trainer.save(log)
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
    whole.run(quiet, {})

    def stop_after_two(step: int, losses: dict[str, float]) -> None:
        if step == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    first = make_trainer(task, preset, *changes, out="parts")
    with pytest.raises(KeyboardInterrupt):
        first.run(stop_after_two, {})
    assert first.step == 2

    torch.manual_seed(99)  # another process
    second = make_trainer(task, preset, *changes, out="parts")
    second.restore(second.out / "checkpoint.safetensors")
    assert second.step == 2
    second.run(quiet, {})
    for name in ("checkpoint.safetensors", "weights.safetensors"):
        (expected, about), (found, about_found) = (load_tensors(trainer.out / name) for trainer in (whole, second))
        assert_same(expected, found)
        assert about == about_found


def test_signals_are_as_before_when_a_run_has_ended(make_trainer):
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    make_trainer("inpaint", "best", "training.steps=1").run(quiet, {})
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


@pytest.mark.parametrize("task", RECIPES)
def test_one_step_of_the_thesis_moves_both_sides(make_trainer, task):
    trainer = make_trainer(task, "fw-gap", "training.steps=1")
    networks = {"generator": trainer.training_step.generator, **trainer.training_step.discriminators}
    before = {name: [p.clone() for p in network.parameters()] for name, network in networks.items()}
    losses = trainer.training_step(first_batch(trainer), trainer.step)
    common = {"total", "rigidity", "adversarial", "gap", "patch_loss", "gap_loss"}
    assert set(losses) == common | {"frontalize": {"pix1", "pix2"}, "inpaint": {"l1"}}[task]
    assert all(np.isfinite(value) for value in losses.values())
    for name, network in networks.items():
        moved = [not torch.equal(a, b) for a, b in zip(before[name], network.parameters(), strict=True)]
        assert sum(moved) > len(moved) / 2, name


@pytest.mark.parametrize("task", RECIPES)
def test_each_side_learns_from_its_own_loss_alone(make_trainer, monkeypatch, task):
    trainer = make_trainer(task, "fw-gap", "training.steps=1")
    training_step, right = trainer.training_step, trainer.recipe.discriminator_losses
    start = [p.clone() for p in training_step.discriminators.parameters()]
    gradients = []

    def note(batch, made):  # called when the generator has its gradients and the discriminators have none
        assert all(p.grad is None and p.requires_grad for p in training_step.discriminators.parameters())
        assert all(torch.equal(a, b) for a, b in zip(start, training_step.discriminators.parameters(), strict=True))
        gradients.extend(p.grad.clone() for p in training_step.generator.parameters())
        return right(batch, made)

    monkeypatch.setattr(trainer.recipe, "discriminator_losses", note)
    training_step(first_batch(trainer), 0)
    assert len(gradients) > 0
    assert all(torch.equal(a, b.grad) for a, b in zip(gradients, training_step.generator.parameters(), strict=True))


def test_discriminators_learn_to_tell_real_from_made(make_trainer):
    """Against a generator that stands still."""
    trainer = make_trainer("frontalize", "fw-gap", "training.generator_lr=0", "training.discriminator_lr=0.001")
    batch = first_batch(trainer)
    losses = [trainer.training_step(batch, trainer.step) for _ in range(12)]
    assert losses[-1]["patch_loss"] < 0.7 * losses[0]["patch_loss"]
    assert losses[-1]["gap_loss"] < 0.7 * losses[0]["gap_loss"]


@pytest.mark.parametrize("task", RECIPES)
def test_discriminators_enter_when_they_are_told_to(make_trainer, task):
    trainer = make_trainer(task, "fw-gap", "training.steps=2", "training.adversarial_from=1")
    before = [p.clone() for p in trainer.training_step.discriminators.parameters()]
    source = batches_of(trainer)
    assert not {"adversarial", "gap", "patch_loss", "gap_loss"} & set(trainer.training_step(next(source), trainer.step))
    assert all(
        torch.equal(a, b) for a, b in zip(before, trainer.training_step.discriminators.parameters(), strict=True)
    )
    trainer.step = 1
    assert {"adversarial", "gap", "patch_loss", "gap_loss"} <= set(trainer.training_step(next(source), trainer.step))


def test_the_first_steps_are_for_the_flow_alone(make_trainer):
    trainer = make_trainer("frontalize", "best", "flow_warmup=1", "training.steps=2")
    before = [p.clone() for p in trainer.training_step.generator.inpainter.parameters()]
    source = batches_of(trainer)
    assert set(trainer.training_step(next(source), trainer.step)) == {"total", "rigidity", "flow", "visibility"}
    assert all(
        torch.equal(a, b) for a, b in zip(before, trainer.training_step.generator.inpainter.parameters(), strict=True)
    )
    trainer.step = 1
    assert {"pix1", "pix2", "gradient"} <= set(trainer.training_step(next(source), trainer.step))


@pytest.mark.parametrize("task", RECIPES)
def test_a_step_that_is_not_finite_changes_nothing(make_trainer, task):
    """Item 1 is not finite; the batch of items 2 and 3 trains as if it had been the first."""
    trainer = make_trainer(task, "fw-gap", "training.steps=2", out="bad", bad=(1,))
    source = batches_of(trainer)
    before = state_of(trainer)
    assert trainer.training_step(next(source), trainer.step) == {"skipped": 1.0}
    assert_same(before, state_of(trainer))
    assert trainer.training_step.bad_steps == 1
    assert "skipped" not in trainer.training_step(next(source), trainer.step)
    assert trainer.training_step.bad_steps == 0
    learned = (value for key, value in state_of(trainer).items() if not key.startswith("rng/"))
    assert all(torch.isfinite(value).all() for value in learned if value.is_floating_point())


@pytest.mark.parametrize("side", ["generator_losses", "discriminator_losses"])
def test_where_one_side_is_not_finite_neither_moves(make_trainer, monkeypatch, side):
    trainer = make_trainer("inpaint", "fw-gap")
    right = getattr(trainer.recipe, side)

    def spoilt(batch, other):
        found = right(batch, other)
        terms = found if side == "discriminator_losses" else found[0]
        terms[next(iter(terms))] *= torch.nan
        return found

    monkeypatch.setattr(trainer.recipe, side, spoilt)
    before = state_of(trainer)
    assert trainer.training_step(first_batch(trainer), 0) == {"skipped": 1.0}
    assert_same(before, state_of(trainer))


def test_a_run_that_is_never_finite_ends_with_advice(make_trainer):
    trainer = make_trainer("inpaint", "best", "training.steps=40", bad=tuple(range(100)))
    with pytest.raises(DeformError, match=f"{MAX_BAD_STEPS} losses in a row") as caught:
        trainer.run(quiet, {})
    assert trainer.step == MAX_BAD_STEPS - 1
    assert "generator_lr" in caught.value.remedy


def test_training_lowers_the_loss(make_trainer):
    trainer = make_trainer("frontalize", "best", "flow_warmup=100", "training.generator_lr=0.01", "training.warmup=0")
    batch = first_batch(trainer)
    losses = [trainer.training_step(batch, trainer.step)["flow"] for _ in range(15)]
    assert losses[-1] < 0.7 * losses[0]


def test_what_a_run_writes(make_trainer):
    told = []
    settings = ("training.steps=5", "training.log_every=2", "training.sample_every=2", "training.save_every=2")
    trainer = make_trainer("inpaint", "best", *settings)
    trainer.run(lambda step, losses: told.append((step, losses["total"])), {})
    lines = [json.loads(line) for line in (trainer.out / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4, 5]
    assert [line["total"] for line in lines] == [dict(told)[step] for step in (2, 4, 5)]
    assert all(line["images_per_second"] > 0 for line in lines)
    assert [step for step, _ in told] == [1, 2, 3, 4, 5]
    assert sorted(path.name for path in (trainer.out / "samples").iterdir()) == ["0000002.png", "0000004.png"]
    sheet = cv2.imread(str(trainer.out / "samples/0000002.png"))
    assert sheet.shape == (2 * 64, 6 * 64, 3)  # 2 items; input, flow, warp, holes, output, target
    assert {path.name for path in trainer.out.iterdir()} == {
        "run.json",
        "log.jsonl",
        "log.csv",
        "samples",
        "checkpoint.safetensors",
        *(f"checkpoint-000000{step}.safetensors" for step in (4, 5)),
        "weights.safetensors",
    }


@pytest.mark.parametrize("task", RECIPES)
def test_sheets_have_the_rows_of_the_thesis(make_trainer, task):
    """Fig. 4.1: input, flow, warped, holes, output, target, what the gap discriminator makes of the output."""
    trainer = make_trainer(task, "fw-gap")
    columns = trainer.samples(first_batch(trainer))
    assert [name.removesuffix(" 1") for name in columns] == [
        *("input", "flow", "warp" if task == "inpaint" else "warped", "holes", "output", "target", "guessed holes")
    ]
    assert {column.shape for column in columns.values()} == {(2, 3, 64, 64)}
    assert all(column.min() >= -1.001 and column.max() <= 1.001 for column in columns.values())
    known = trainer.recipe.discriminators["gap"](columns["output"]) > 0
    assert torch.equal(columns["guessed holes"][:, :1] < 0, known)


@pytest.mark.parametrize("task", RECIPES)
def test_samples_do_not_disturb_the_run(make_trainer, task):
    """Also before the flow's warm-up has ended, when training makes no pictures."""
    changes = ["flow_warmup=10"] if task == "frontalize" else []
    preset = "best" if task == "frontalize" else "fw-gap"
    with_samples, without = (
        make_trainer(task, preset, "training.steps=2", f"training.sample_every={every}", *changes, out=str(every))
        for every in (1, 100)
    )
    with_samples.run(quiet, {})
    without.run(quiet, {})
    assert len(list((with_samples.out / "samples").iterdir())) == 2
    assert_same(state_of(with_samples), state_of(without))


def test_exported_weights_are_the_running_average(make_trainer):
    trainer = make_trainer("inpaint", "best", "training.ema=0.5", "training.generator_lr=0.1", "training.warmup=0")
    batch = first_batch(trainer)
    name, start = "regressor.head.weight", trainer.training_step.generator.regressor.head.weight.clone()
    trainer.training_step(batch, trainer.step)  # step 0: the decay is (1 + 0) / (10 + 0)
    value = trainer.training_step.generator.regressor.head.weight
    mean = trainer.training_step.average.regressor.head.weight
    assert torch.allclose(mean, 0.1 * start + 0.9 * value)
    assert not torch.allclose(mean, value, atol=1e-4)
    state_of(trainer)
    exported, _ = load_generator(trainer.out / "weights.safetensors", "inpaint")
    assert torch.allclose(exported[name], mean, atol=1e-3)


def test_learning_rate_warms_up_and_decays(make_trainer):
    trainer = make_trainer("inpaint", "best", "training.warmup=10", "training.decay=true", "training.steps=100")
    rates = {}
    for step in (0, 4, 9, 50, 100):
        rates[step] = round(learning_rate(trainer.config, step), 3)
    assert rates == {0: 0.1, 4: 0.498, 9: 0.98, 50: 0.5, 100: 0.0}


def test_clip_bounds_the_gradient(make_trainer):
    trainer = make_trainer("inpaint", "best", "training.clip=0.001")
    trainer.training_step(first_batch(trainer), trainer.step)
    norms = [p.grad.norm() for p in trainer.training_step.generator.parameters() if p.grad is not None]
    assert torch.stack(norms).norm().item() == pytest.approx(0.001, rel=1e-3)


def test_a_checkpoint_of_another_run_is_refused(make_trainer):
    first = make_trainer("inpaint", "best")
    state_of(first)
    checkpoint, weights = first.out / "checkpoint.safetensors", first.out / "weights.safetensors"
    with pytest.raises(WeightsError, match="no checkpoint of frontalize, but of inpaint"):
        make_trainer("frontalize", "best").restore(checkpoint)
    with pytest.raises(WeightsError, match="no checkpoint"):
        make_trainer("inpaint", "best").restore(weights)
    checkpoint.write_bytes(checkpoint.read_bytes()[:-100])
    with pytest.raises(WeightsError, match="not a weights file"):
        make_trainer("inpaint", "best").restore(checkpoint)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("generator.flows=3", "generator.flows is 3, was 2"),
        ("generator.sampler=backward", "generator.sampler is backward, was forward"),  # of the same shapes
        ("losses.adversarial=0", "losses.adversarial is 0.0, was 0.1"),
    ],
)
def test_a_change_that_makes_other_networks_is_named(make_trainer, change, words):
    first = make_trainer("inpaint", "fw-gap")
    state_of(first)
    with pytest.raises(UsageError, match=f"has other networks: {words}$") as caught:
        make_trainer("inpaint", "fw-gap", change).restore(first.out / "checkpoint.safetensors")
    assert "resume without that change" in caught.value.remedy
    with pytest.raises(UsageError, match=r"generator.*, .*, .* and [0-9]+ more$"):
        make_trainer("inpaint", "best").restore(first.out / "checkpoint.safetensors")


def test_an_average_may_begin_and_end_with_a_resumed_run(make_trainer):
    first = make_trainer("inpaint", "best", "training.ema=0", "training.steps=2")
    first.run(quiet, {})
    second = make_trainer("inpaint", "best", "training.ema=0.5", "training.steps=4")
    second.restore(second.out / "checkpoint.safetensors")
    generator, average = (
        network.state_dict() for network in (second.training_step.generator, second.training_step.average)
    )
    assert all(torch.equal(value, average[key]) for key, value in generator.items())
    second.run(quiet, {})
    third = make_trainer("inpaint", "best", "training.ema=0", "training.steps=6")
    third.restore(third.out / "checkpoint.safetensors")
    third.run(quiet, {})
    assert third.step == 6


def test_a_folder_that_cannot_be_made_is_named(make_trainer, tmp_path):
    (tmp_path / "run").write_text("a file")
    with pytest.raises(DeformError, match="run cannot be written"):
        make_trainer("inpaint", "best").run(quiet, {})


def test_an_unreadable_picture_is_named_by_the_process_that_trains(tiny_config, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/bad.png").write_bytes(b"no picture")
    recipe = InpaintRecipe(tiny_config("inpaint", "best", "training.workers=1", "training.steps=2"))
    data = open_items(recipe, recipe.config, [f"folder:{tmp_path}/data"], "train", length=4)
    with pytest.raises(UsageError, match=r"bad\.png is not a picture"):
        Trainer(recipe, lambda size: data, tmp_path / "run", ALONE).run(quiet, {})


@pytest.mark.parametrize("fails", ["samples", "evaluate"])
def test_what_is_only_looked_at_may_fail(make_trainer, monkeypatch, capfd, fails):
    settings = ("training.steps=3", "training.sample_every=2", "training.eval_every=2", "training.save_every=2")
    trainer = make_trainer("inpaint", "best", *settings, held_out=2)
    saved = []

    def failing(*_):
        saved.append(load_tensors(trainer.out / "checkpoint.safetensors")[1]["step"])
        raise RuntimeError("no such thing")

    monkeypatch.setattr(trainer, fails, failing)
    trainer.run(quiet, {})
    assert saved == ([2] if fails == "samples" else [2, 3])  # saved before
    said = capfd.readouterr().err
    assert "warning: step 2: " in said and "RuntimeError: no such thing" in said
    assert (trainer.best is None) == (fails == "evaluate")


def test_measuring_does_not_disturb_the_run(make_trainer):
    often, never = (
        make_trainer("inpaint", "best", "training.steps=2", f"training.eval_every={n}", out=str(n), held_out=2)
        for n in (1, 0)
    )
    often.run(quiet, {})
    never.run(quiet, {})
    assert_same(state_of(often), state_of(never))


def test_any_error_saves_the_steps_that_are_done(make_trainer):
    trainer = make_trainer("inpaint", "best", "training.steps=9", "training.save_every=100")
    states = []

    def report(step, losses):
        states.append(state_of(trainer))
        (trainer.out / "checkpoint.safetensors").unlink()
        trainer.saved = 0
        if step == 2:
            raise OSError("the terminal is gone")

    with pytest.raises(OSError, match="terminal"):
        trainer.run(report, {})
    assert_same(states[-1], load_tensors(trainer.out / "checkpoint.safetensors")[0])


@pytest.mark.parametrize("to_group", [False, True], ids=["the process", "its workers too"])
def test_sigterm_saves_and_ends_with_130(tmp_path, environment, to_group):
    for number in range(4):
        picture = np.random.default_rng(number).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        (tmp_path / "data").mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / f"data/{number}.png"), picture)
    out = tmp_path / "run"
    small = [
        "size=32",
        "batch_size=1",
        "save_every=100000",
        "sample_every=100000",
        "log_every=1",
        "workers=1",
        "eval_every=0",
    ]
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
    said = (tmp_path / "stderr").read_text()
    assert "Traceback" not in said
    assert said.count(f"to be saved in {out / 'checkpoint.safetensors'}") == 1


def _lines(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.exists() else 0


def test_parts_of_a_step_add_up_to_the_step(make_trainer):
    """No term of this loss couples items, and nothing is normalised over them: halves and whole have one gradient."""
    settings = ("losses.gap=0", "losses.adversarial=0", "training.batch_size=4", "training.steps=1")
    whole = make_trainer("frontalize", "fw-gap", *settings)
    parts = make_trainer("frontalize", "fw-gap", *settings, "training.grad_accum=4")
    for trainer in (whole, parts):
        trainer.training_step.generator.eval()
    losses = [trainer.training_step(first_batch(trainer), 0) for trainer in (whole, parts)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    for a, b in zip(
        whole.training_step.generator.parameters(), parts.training_step.generator.parameters(), strict=True
    ):
        assert torch.allclose(a.grad, b.grad, rtol=1e-3, atol=1e-6)


def test_a_batch_that_cannot_be_parted_is_refused(make_trainer):
    with pytest.raises(UsageError, match="cannot be shared"):
        make_trainer("inpaint", "best", "training.batch_size=3", "training.grad_accum=2")


def test_pictures_grow(make_trainer):
    settings = ("training.steps=4", "training.start_size=32", "training.grow_at=2", "training.size=64")
    trainer = make_trainer("inpaint", "best", *settings)
    items = [batch["image"] for batch in batches_of(trainer)]
    assert [image.shape[-1] for image in items] == [32, 32, 64, 64]
    trainer.step = 1  # resumed
    assert [batch["image"].shape[-1] for batch in batches_of(trainer)] == [32, 64, 64]
    trainer.step = 3
    assert [batch["image"].shape[-1] for batch in batches_of(trainer)] == [64]
    trainer.run(quiet, {})


def test_data_of_another_size_is_for_the_same_networks(tiny_config):
    recipe = InpaintRecipe(tiny_config("inpaint", "best"))
    sources = [Source("folder:x", Files([Path("a.png")]))]
    sizes = [recipe.dataset(recipe.config, sources, "train", size=size, length=1).size for size in (32, 64)]
    assert sizes == [32, 64]
    assert recipe.config.training.size == 64


def test_best_weights_are_those_with_the_least_error(make_trainer, monkeypatch):
    settings = ("training.steps=5", "training.eval_every=1", "training.save_every=100", "training.generator_lr=0.01")
    trainer = make_trainer("inpaint", "best", *settings, held_out=3)
    errors = iter([5.0, 3.0, 4.0, 3.0, 9.0])
    monkeypatch.setattr(trainer, "evaluate", lambda: next(errors))
    states = []
    trainer.run(lambda *_: states.append(trainer.training_step.exported.regressor.head.weight.clone()), {})
    assert trainer.best == {"step": 2, "mse": 3.0}
    best, _ = load_generator(trainer.out / "weights-best.safetensors", "inpaint")
    assert torch.equal(best["regressor.head.weight"], states[1].half().float())
    assert load_tensors(trainer.out / "checkpoint-best.safetensors")[1]["step"] == 2
    assert load_tensors(trainer.out / "checkpoint.safetensors")[1]["step"] == 5
    again = make_trainer("inpaint", "best", *settings, held_out=3)
    again.restore(again.out / "checkpoint.safetensors")
    assert again.best == {"step": 2, "mse": 3.0}


def test_error_on_held_out_items_by_hand(make_trainer, monkeypatch):
    trainer = make_trainer("inpaint", "best", "training.batch_size=2", held_out=5)
    monkeypatch.setattr(InpaintPredictor, "predict", lambda self, batch: batch["image"] + 0.5)
    assert trainer.evaluate() == pytest.approx(0.25**2)
    assert trainer.training_step.generator.training


def test_what_is_measured_and_shown_is_what_is_exported(make_trainer, monkeypatch):
    trainer = make_trainer("inpaint", "best", "training.ema=0.5", held_out=2)
    used = []
    monkeypatch.setattr(InpaintPredictor, "predict", lambda self, batch: used.append(self.generator) or batch["image"])
    trainer.evaluate()
    assert used == [trainer.training_step.average]
    assert trainer.recipe.generator is trainer.training_step.generator


def test_older_checkpoints_are_kept_up_to_a_number(make_trainer):
    trainer = make_trainer("inpaint", "best", "training.steps=5", "training.save_every=1", "training.keep=2")
    (trainer.out).mkdir()
    (trainer.out / ".0123.part").write_text("what a killed run was writing")
    trainer.run(quiet, {})
    kept = sorted(path.name for path in trainer.out.glob("*.safetensors"))
    numbered = [f"checkpoint-000000{step}.safetensors" for step in (4, 5)]
    assert kept == [*numbered, "checkpoint.safetensors", "weights.safetensors"]
    assert load_tensors(trainer.out / numbered[0])[1]["step"] == 4
    assert not list(trainer.out.glob(".*"))


def test_a_run_ends_when_its_hours_are_over(make_trainer):
    trainer = make_trainer("inpaint", "best", "training.steps=100000", "training.max_hours=0.0001")
    trainer.run(quiet, {})
    assert 0 < trainer.step < 100000
    assert load_tensors(trainer.out / "checkpoint.safetensors")[1]["step"] == trainer.step


def test_the_log_forgets_what_is_done_again(make_trainer):
    """A run killed at step 5, whose last checkpoint was that of step 2; its last line was cut off."""
    settings = ("training.log_every=1", "training.save_every=2")
    trainer = make_trainer("inpaint", "best", "training.steps=2", *settings)
    trainer.run(quiet, {})
    with (trainer.out / "log.jsonl").open("a") as log:
        log.write('{"step": 3, "total": 7.0}\n{"step": 4, "total": 7.0}\n{"step": 5, "tot')
    again = make_trainer("inpaint", "best", "training.steps=4", *settings)
    again.restore(again.out / "checkpoint.safetensors")
    again.run(quiet, {})
    lines = [json.loads(line) for line in (again.out / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    assert all(line["total"] != 7.0 for line in lines)
    table = list(csv.DictReader((again.out / "log.csv").read_text().splitlines()))
    assert [row["step"] for row in table] == ["1", "2", "3", "4"]
    assert [float(row["total"]) for row in table] == [line["total"] for line in lines]


def test_fine_tuning_begins_with_exported_weights(make_trainer):
    first = make_trainer("inpaint", "best", "training.steps=1", out="first")
    first.run(quiet, {})
    second = make_trainer("inpaint", "best", "training.seed=5", out="second")
    second.begin_with(first.out / "weights.safetensors")
    state, _ = load_generator(first.out / "weights.safetensors", "inpaint")
    for network in (second.training_step.generator, second.training_step.average):
        assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())
    assert second.step == 0


ON_GPU = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
ON_CPU = RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried")


@pytest.mark.parametrize(
    ("error", "room", "advice"),
    [
        (ON_GPU, 3, "8 items at a time do not fit, 2 do: --grad-accum 4"),
        (ON_CPU, 1, "1 do: --grad-accum 8"),
        (MemoryError(), 0, "nor does 1"),
    ],
)
def test_out_of_memory_names_what_would_fit(make_trainer, monkeypatch, error, room, advice):
    trainer = make_trainer("inpaint", "best", "training.batch_size=8", "training.steps=3", "training.size=32")
    right = trainer.recipe.generator_losses

    def crowded(batch, step):
        if step == 1 and len(batch["image"]) > room:
            raise error
        return right(batch, step)

    monkeypatch.setattr(trainer.recipe, "generator_losses", crowded)
    states = []
    with pytest.raises(DeformError, match="step 1: out of memory") as caught:
        trainer.run(lambda *_: states.append(state_of(trainer)), {})
    assert advice in caught.value.remedy
    assert_same(states[0], load_tensors(trainer.out / "checkpoint.safetensors")[0])  # nothing of the step stays


def test_another_runtime_error_is_not_taken_for_memory(make_trainer, monkeypatch):
    trainer = make_trainer("inpaint", "best")

    def broken(batch, step):
        raise RuntimeError("a bug")

    monkeypatch.setattr(trainer.recipe, "generator_losses", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        trainer.run(quiet, {})


def test_half_precision_finds_its_scale(make_trainer):
    """Gradients that overflow at first are no bad steps; the scale is part of the checkpoint."""
    settings = ("training.size=32", "training.amp=fp16")
    trainer = make_trainer("inpaint", "best", *settings)
    training_step, batch = trainer.training_step, first_batch(trainer)
    with torch.no_grad():
        expected = sum(term.item() for term in trainer.recipe.generator_losses(batch, 0)[0].values())
    training_step.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**30)
    while "skipped" in (losses := training_step(batch, 0)):
        assert training_step.bad_steps == 0
    assert 0 < training_step.skipped < 30
    assert losses["total"] == pytest.approx(expected, rel=0.05)
    state_of(trainer)
    again = make_trainer("inpaint", "best", *settings)
    again.restore(trainer.out / "checkpoint.safetensors")
    assert again.training_step.scaler.get_scale() == training_step.scaler.get_scale()
    assert again.training_step.skipped == training_step.skipped
