"""The weights that come with the package do what their manifest entries say, on held-out portraits."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader, Subset

from deform_frontalize.recipe import FrontalizeRecipe
from deform_inpaint.recipe import InpaintRecipe
from deformcli.engine.evaluator import evaluate
from deformcli.engine.recipe import Recipe
from deformcli.manifest import manifest
from deformcli.metrics import mse, psnr
from deformcli.weights import resolve_weights, verified_file


def _means(recipe: Recipe, kind: str, portraits: Path, items: range) -> dict[tuple[str, str], dict[str, float]]:
    data = Subset(recipe.dataset([(kind, portraits)], "test"), items)
    methods = {"ours": recipe.predict, **recipe.baselines()}
    rows = evaluate(recipe, data, methods, {"mse": mse, "psnr": psnr}, torch.device("cpu"))
    return {(row.method, row.group): dict(row.means) for row in rows}


@pytest.mark.parametrize("entry", [entry for entry in manifest().values() if entry.source == "bundled"], ids=str)
def test_bundled_files_are_whole(entry):
    assert verified_file(entry, offline=True, again=True).stat().st_size == entry.size
    assert entry.metrics and entry.licence and entry.trained_on


def test_inpaint_beats_navier_stokes(shared):
    recipe = InpaintRecipe.from_weights(resolve_weights("inpaint-128", task="inpaint", offline=True))
    means = _means(recipe, "folder", shared / "data" / "portraits", range(24))
    assert means["ours", "thin"]["psnr"] > means["Navier-Stokes", "thin"]["psnr"] + 1
    assert means["ours", "thick"]["psnr"] > means["Navier-Stokes", "thick"]["psnr"] + 1


def test_frontalize_beats_its_input(shared):
    recipe = FrontalizeRecipe.from_weights(resolve_weights("frontalize-128", task="frontalize", offline=True))
    means = _means(recipe, "rotated", shared / "data" / "portraits", range(60))
    for yaw in ("-60", "-45", "-30", "+30", "+45", "+60"):
        assert means["ours", yaw]["mse"] < 0.7 * means["copy the input", yaw]["mse"]


def test_nobody_is_trained_and_tested_on(shared):
    recipe = FrontalizeRecipe.from_weights(resolve_weights("frontalize-128", task="frontalize", offline=True))
    portraits = [("rotated", shared / "data" / "portraits")]
    train, test = (recipe.dataset(portraits, split, 1) for split in ("train", "test"))
    assert not {path for path, _ in train.photos} & {path for path, _ in test.photos}
    assert len(next(iter(DataLoader(test)))["image"]) == 1
