"""`deform evaluate`: rows that say what was measured, beside baselines on the same items."""

from __future__ import annotations

import json

import numpy as np
import pytest

from deform_frontalize.recipe import FrontalizeRecipe
from deform_inpaint.recipe import InpaintRecipe
from deformcli.data.splits import is_held_out


@pytest.fixture
def photos(save, smooth_picture):
    """A folder with two held-out pictures among others."""
    held_out = [f"{number}.png" for number in range(200) if is_held_out(f"{number}.png")][:2]
    for seed, name in enumerate([*held_out, *(f"{n}.png" for n in range(5) if not is_held_out(f"{n}.png"))]):
        save(f"photos/{name}", smooth_picture(48, 40, seed))
    return "folder:photos"


def test_rows_of_inpaint(command, photos, tiny_weights):
    weights = tiny_weights("inpaint")
    args = ("evaluate", "inpaint", "--data", photos, "--weights", weights, "--size", 32, "--metrics", "psnr,mse")
    ended = command(*args, "--json")
    assert (ended.code, ended.err) == (0, "")
    rows = {(row["method"], row["group"]): row for row in json.loads(ended.out)}
    methods = {str(weights), "Telea", "Navier-Stokes", "biharmonic"}
    assert set(rows) == {(method, group) for method in methods for group in ("thin", "thick", "all")}
    assert {row["items"] for (_, group), row in rows.items() if group == "all"} == {4}
    for row in rows.values():
        assert list(row["means"]) == ["psnr", "mse"]
        assert 0 < row["means"]["mse"] < 0.2
        assert 15 < row["means"]["psnr"] < 80
    for method in methods:
        halves = [rows[method, kind]["means"]["mse"] for kind in ("thin", "thick")]
        assert rows[method, "all"]["means"]["mse"] == pytest.approx(np.mean(halves))
    again = json.loads(command(*args, "--json").out)
    assert again == list(rows.values())


def test_several_weights_share_the_baselines(command, photos, tiny_weights, tmp_path):
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(tiny_weights("inpaint").read_bytes())
    both = ("--weights", tiny_weights("inpaint"), "--weights", copy)
    ended = command("evaluate", "inpaint", "--data", photos, *both, "--size", 32, "--metrics", "mse", "--json")
    rows = {row["method"]: row["means"]["mse"] for row in json.loads(ended.out) if row["group"] == "all"}
    assert len(rows) == 5
    assert rows[str(copy)] == rows[str(tiny_weights("inpaint"))]


def test_table(command, photos, tiny_weights):
    args = ("--data", photos, "--weights", tiny_weights("inpaint"), "--size", 32)
    ended = command("evaluate", "inpaint", *args)
    assert ended.code == 0
    for word in ("thin", "thick", "all", "Telea", "psnr ↑", "mse ↓"):
        assert word in ended.out


def test_rows_of_frontalize(tiny_weights, shared):
    """A row per yaw; the baseline is the input as it is."""
    recipe = FrontalizeRecipe.from_weights(tiny_weights("frontalize"))
    data = recipe.dataset([("rotated", shared / "data/london")], "test")
    batch = {key: value[None] for key, value in data[4].items()}
    assert recipe.groups(batch) == ["-15"]
    assert (recipe.baselines()["copy the input"](batch) == batch["image"]).all()
    assert (recipe.target(batch) == batch["target"]).all()
    made = recipe.predict(batch)
    assert made.shape == batch["target"].shape
    assert made.abs().max() <= 1


def test_baselines_of_inpaint_keep_what_is_known(tiny_weights, photos, tmp_path):
    recipe = InpaintRecipe.from_weights(tiny_weights("inpaint"))
    data = recipe.dataset([("folder", tmp_path / "photos")], "test")
    batch = {key: value[None] for key, value in data[0].items()}
    known = batch["known"].expand_as(batch["image"]) > 0
    for name, method in {**recipe.baselines(), "network": recipe.predict}.items():
        made = method(batch)
        assert (made - batch["image"])[known].abs().max() < 1e-6, name
        assert (made - batch["image"])[~known].abs().mean() < 0.2, name


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("nothing", "--data", "folder:photos"), "no recipe is called 'nothing'"),
        (("inpaint", "--data", "folder:photos", "--metrics", "mse,beauty"), "beauty"),
        (("inpaint", "--data", "folder:nowhere"), "no such data folder"),
        (("inpaint", "--data", "nowhere"), "expected KIND:PATH"),
        (("inpaint", "--data", "folder:photos", "--device", "tpu"), "tpu"),
    ],
)
def test_wrong_settings(refused, photos, tiny_weights, args, words):
    assert words in refused(2, "evaluate", *args, "--weights", tiny_weights("inpaint"))


def test_bad_weights(refused, photos, bad_weights):
    path = bad_weights("inpaint")
    assert path.name in refused(4, "evaluate", "inpaint", "--data", photos, "--weights", path)
