"""`deform train`: settings, refusals, and a run whose weights the other commands take."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from deform_train.options import TrainingOptions
from deformcli.data.splits import split_of
from deformcli.recipes import TrainingConfig

SMALL = {
    "inpaint": ["generator.flows=2", "generator.regressor_width=4", "generator.merger_width=4", "training.size=32"],
    "frontalize": ["generator.regressor_widths=4,4,6", "generator.inpainter_widths=4,6,8", "training.size=64"],
}


def settings(task: str) -> list[str]:
    """Options for a run of seconds."""
    few = ["training.workers=0", "training.log_every=1", "training.sample_every=1", *SMALL[task]]
    return ["--threads", "1", "--batch-size", "2", *(f"--set={change}" for change in few)]


@pytest.fixture
def photos(save, smooth_picture):
    """A folder with pictures of all splits."""
    for number in range(30):
        save(f"photos/{number}.png", smooth_picture(48, 40, number))
    return "folder:photos"


@pytest.mark.parametrize("task", SMALL)
def test_show_config(command, task):
    changes = ("--set", "losses.rigidity=0.25", "--set", "training.steps=9", "--steps", 7, "--batch-size", 3)
    ended = command("train", task, "--preset", "fw-gap", *changes, "--show-config")
    assert (ended.code, ended.err) == (0, "")
    lines = [re.fullmatch(r"([\w.]+) = (.*?)  # (.+)", line) for line in ended.out.splitlines()]
    assert all(lines), "a field without its meaning"
    shown = {line[1]: line[2] for line in lines}
    assert shown["losses.rigidity"] == "0.25"
    assert (shown["training.steps"], shown["training.batch_size"]) == ("7", "3")
    assert float(shown["training.generator_lr"]) == 2e-5
    assert shown["generator.sampler"] == "forward"


def test_short_options_are_fields_of_the_config():
    short, fields = ({f.name for f in dataclasses.fields(kind)} for kind in (TrainingOptions, TrainingConfig))
    assert short <= fields


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("nothing",), ["no recipe is called 'nothing'", "frontalize, inpaint"]),
        (("inpaint", "--preset", "worst"), ["no preset 'worst'", "best, fw-gap"]),
        (("inpaint", "--set", "training.speed=1"), ["--set training.speed", "'speed'"]),
        (("inpaint", "--set", "training.steps=many"), ["--set training.steps=many", "int"]),
        (("inpaint", "--data", "folder:photos", "--masks", "dots"), ["--masks dots", "strokes:thin"]),
        (("inpaint", "--data", "folder:photos", "--masks", "qd-imd:nowhere"), ["nowhere/train", "github.com"]),
        (("frontalize", "--data", "folder:photos", "--masks", "strokes"), ["no field 'masks'"]),
        (("inpaint", "--set", "training.steps"), ["expected key=value"]),
        (("inpaint", "--set", "training.eval_items=0"), ["--set training.eval_items=0", "at least 1"]),
        (("inpaint", "--set", "training.workers=-1"), ["--set training.workers=-1", "at least 0"]),
        (("inpaint", "--set", "training.generator_lr=nan"), ["--set training.generator_lr=nan", "at least 0"]),
        (("inpaint", "--seed", "-1"), ["--set training.seed=-1", "at least 0"]),
        (("inpaint",), ["no data"]),
        (("inpaint", "--data", "folder:nowhere"), ["nowhere", "no such data folder"]),
        (("inpaint", "--data", "photos.zip"), ["expected KIND:PATH"]),
        (("inpaint", "--data", "rotated:x"), ["no facemesh.npz"]),
        (("frontalize", "--data", "folder:photos"), ["needs pairs", "rotated:PATH"]),
        (("frontalize", "--data", "rotated:x"), ["no facemesh.npz"]),
        (("inpaint", "--data", "folder:photos", "--device", "tpu"), ["tpu"]),
    ],
)
def test_wrong_settings(refused, photos, args, words):
    said = refused(2, "train", *args)
    assert all(word in said for word in words)


def test_a_folder_in_use_is_not_overwritten(refused, photos, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/precious.txt").write_text("keep")
    assert "is not empty" in refused(2, "train", "inpaint", "--data", photos, "--out", "run")
    assert (tmp_path / "run/precious.txt").read_text() == "keep"


def test_a_missing_tensorboard_leaves_nothing_behind(command, refused, photos, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    train = ("train", "inpaint", "--data", photos, "--out", "run", "--steps", 1, *settings("inpaint"))
    assert "TensorBoard is not installed" in refused(2, *train, "--tensorboard")
    assert command(*train).code == 0


def test_resuming_from_what_is_no_checkpoint(refused, photos, tmp_path):
    (tmp_path / "bad.safetensors").write_text("no checkpoint")
    args = ("train", "inpaint", "--data", photos, "--out", "run", *settings("inpaint"))
    for name in ("bad.safetensors", "gone.safetensors"):
        assert name in refused(4, *args, "--resume", name)


def test_train_resume_evaluate_inpaint(command, photos, save, smooth_picture, tmp_path):
    train = ("train", "inpaint", "--data", photos, "--out", "run", *settings("inpaint"))
    first = command(*train, "--steps", 2)
    assert (first.code, first.out) == (0, "")
    assert "step 2/2" in first.err
    assert "deform inpaint IN -o OUT --weights run/weights-best.safetensors" in first.err
    again = command(*train, "--steps", 3, "--resume", "auto")
    assert again.code == 0
    lines = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "total" in line] == [1, 2, 3]
    assert [line["step"] for line in lines if "held_out_mse" in line] == [2, 3]
    assert len(list((tmp_path / "run/samples").iterdir())) == 3

    weights = ("--weights", "run/weights.safetensors")
    measured = command("evaluate", "inpaint", "--data", photos, "--size", 32, "--json", *weights)
    assert (measured.code, measured.err) == (0, "")
    assert {"run", "biharmonic"} <= {row["method"] for row in json.loads(measured.out)["rows"]}
    mask = smooth_picture(48, 40)[..., 0] // 128 * 255
    save("mask.png", mask)
    assert command("inpaint", "photos/1.png", "--mask", "mask.png", "-o", "out.png", *weights).code == 0


def test_a_run_goes_on_where_it_is(command, refused, photos, tmp_path):
    train = ("train", "inpaint", "--data", photos, *settings("inpaint"), "--set", "training.keep=1")
    for run in ("a", "b"):
        assert command(*train, "--out", run, "--steps", 1).code == 0
    checkpoint = "a/checkpoint.safetensors"
    before = {path: path.read_bytes() for path in (tmp_path / "b").iterdir() if path.is_file()}
    assert "b: is not empty" in refused(2, *train, "--resume", checkpoint, "--out", "b", "--steps", 2)
    assert {path: path.read_bytes() for path in (tmp_path / "b").iterdir() if path.is_file()} == before
    assert command(*train, "--resume", checkpoint, "--steps", 2).code == 0
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["a", "b", "photos"]
    lines = [json.loads(line) for line in (tmp_path / "a/log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "total" in line] == [1, 2]
    for path in (tmp_path / "a").glob("checkpoint*"):
        path.unlink()
    log = (tmp_path / "a/log.jsonl").read_bytes()
    assert "without a whole checkpoint" in refused(2, *train, "--resume", "auto", "--out", "a", "--steps", 3)
    assert (tmp_path / "a/log.jsonl").read_bytes() == log


def test_resuming_with_what_cannot_be_changed(command, refused, photos):
    train = ("train", "inpaint", "--data", photos, *settings("inpaint"), "--steps", 1, "--out", "run")
    assert command(*train).code == 0
    said = refused(2, *train, "--resume", "auto", "--set", "losses.adversarial=0.1")
    assert "losses.adversarial is 0.1, was 0.0" in said and "--init-from run/weights.safetensors" in said
    args = ("train", "frontalize", "--data", photos, "--out", "run", "--resume", "auto")
    assert "is no checkpoint of frontalize, but of inpaint" in refused(4, *args)


def test_the_printed_commands_can_be_pasted(command, save, smooth_picture, tmp_path, monkeypatch):
    """Whatever the names; they measure at the size and under the masks of training."""
    for number in range(30):
        save(f"my photos/{number}.png", smooth_picture(48, 40, number))
    save("mask.png", smooth_picture(48, 40)[..., 0] // 128 * 255)
    data = ("--data", "folder:my photos?share=1", "--masks", "strokes:thick?holes=0.2-0.3")
    ended = command("train", "inpaint", *data, "--out", "run; 1", "--steps", 1, *settings("inpaint"))
    measure, use = (line.partition(": deform ")[2] for line in ended.err.splitlines()[-2:])
    measured = command(*shlex.split(measure), "--json", "--baseline", "copy")
    assert (measured.code, measured.err) == (0, "")
    found = json.loads(measured.out)
    assert found["about"]["pictures"].startswith("32 x 32") and {row["group"] for row in found["rows"]} == {"all"}
    filled = [part.replace("IN", "my photos/1.png").replace("OUT", "out.png") for part in shlex.split(use)]
    assert command(*filled, "--mask", "mask.png").code == 0


def test_a_run_that_is_not_told_where_gets_a_number(command, refused, photos, tmp_path):
    train = ("train", "inpaint", "--data", photos, *settings("inpaint"))
    first = command(*train, "--steps", 1)
    assert first.code == 0 and first.err.startswith("the run is runs/inpaint-1\nstep 1/1")
    assert (tmp_path / "runs/inpaint-1/weights.safetensors").is_file()
    assert "no such data folder" in refused(2, "train", "inpaint", "--data", "folder:nowhere")
    assert command(*train, "--dry-run").code == 0
    assert command(*train, "--steps", 1, "--quiet") == (0, "", "")
    assert [run.name for run in sorted((tmp_path / "runs").iterdir())] == ["inpaint-1", "inpaint-2"]
    assert command(*train, "--steps", 2, "--resume", "auto").err.startswith("the run is runs/inpaint-2\nstep 2/2")
    one = ("--resume", "runs/inpaint-1/checkpoint.safetensors")
    assert command(*train, "--steps", 2, *one).err.startswith("the run is runs/inpaint-1\nstep 2/2")


def test_train_and_frontalize(command, shared, photo, save):
    data = f"rotated:{shared}/data/london"
    run = command("train", "frontalize", "--data", data, "--out", "run", "--steps", 1, *settings("frontalize"))
    assert run.code == 0, run.err
    save("face.png", photo[40:168, 160:288])
    args = ("face.png", "-o", "out.png", "--aligned", "--weights", "run/weights.safetensors")
    assert command("frontalize", *args).code == 0


def test_the_test_split_has_no_part_in_training(command, refused, photos, tmp_path):
    """Neither its pictures nor the choice of the best weights need it; without a validation split none are chosen."""
    for path in (tmp_path / "photos").iterdir():
        if split_of(path) == "test":
            path.unlink()
    train = ("train", "inpaint", "--data", photos, *settings("inpaint"), "--steps", 1)
    assert command(*train, "--out", "run").code == 0
    assert (tmp_path / "run/weights-best.safetensors").is_file()
    for path in (tmp_path / "photos").iterdir():
        if split_of(path) == "validation":
            path.unlink()
    said = refused(2, *train, "--out", "other")
    assert "no picture for the validation split" in said and "--eval-every 0" in said
    assert command(*train, "--out", "other", "--eval-every", 0).code == 0


def test_damaged_pictures_do_not_end_a_run(command, photos, tmp_path):
    damaged = sorted((tmp_path / "photos").iterdir())[::2]
    for path in damaged:
        path.write_bytes(path.read_bytes()[:80])
    often = ("--eval-every", 1)
    ended = command("train", "inpaint", "--data", photos, "--out", "run", "--steps", 3, *often, *settings("inpaint"))
    assert ended.code == 0
    assert re.search(r"png is damaged: .*; the next is taken", ended.err)
    validating = [path for path in damaged if split_of(path) == "validation"]
    assert validating
    for path in validating:
        assert len(re.findall(rf"{path.name} is damaged: .*; it is left out", ended.err)) == 1
    assert (tmp_path / "run/weights.safetensors").is_file()


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("inpaint", "--weights", "vgg-16=net.safetensors"), "losses.content and losses.style being 0"),
        (("inpaint", "--set", "perceptual_weights=gone.safetensors"), "losses.content and losses.style being 0"),
        (("frontalize", "--set", "perceptual_weights=gone.safetensors"), "losses.perceptual being 0"),
    ],
)
def test_a_helper_network_that_nothing_uses_is_refused(command, photos, tmp_path, args, words):
    save_file({"a": torch.zeros(1)}, tmp_path / "net.safetensors")
    ended = command("train", *args, "--data", photos)
    cause, remedy = ended.err.splitlines()[-2:]
    assert ended.code == 2 and words in cause and "--set losses." in remedy


def test_loss_terms_without_their_network_are_named(command, refused, photos):
    train = ("train", "inpaint", "--preset", "fw-gap", "--data", photos, "--dry-run", *settings("inpaint"))
    said = command(*train).err
    assert (
        "note: losses.content and losses.style left out, for want of a network: --set perceptual_weights=FILE" in said
    )
    assert "gone.safetensors" in refused(4, *train, "--set", "perceptual_weights=gone.safetensors")
    assert "note" not in command(*train, "--set", "losses.content=0", "--set", "losses.style=0").err


def test_begin_with_weights_and_go_on(command, refused, photos, tmp_path):
    """One command begins with given weights, and when it is repeated goes on with its own."""
    train = ("train", "inpaint", "--data", photos, *settings("inpaint"), "--set", "training.generator_lr=0")
    assert command(*train, "--out", "first", "--steps", 1, "--seed", 5).code == 0
    begin = (*train, "--out", "second", "--init-from", "first/weights.safetensors", "--resume", "auto")
    assert command(*begin, "--steps", 1).code == 0
    first, second = (load_file(tmp_path / run / "weights.safetensors") for run in ("first", "second"))
    assert all(torch.equal(first[name], second[name]) for name in first), "nothing was learnt at a rate of 0"
    (tmp_path / "first/weights.safetensors").unlink()
    again = command(*begin, "--steps", 2)
    assert again.code == 0
    assert "trained 2 of 2 steps" in again.err
    checkpoint = "second/checkpoint.safetensors"
    assert "exclude one another" in refused(2, *train, "--init-from", "inpaint-128", "--resume", checkpoint)
