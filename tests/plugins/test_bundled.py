"""The weights that come with the package do what their manifest entries say, on held-out portraits."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader, Subset

from deform_frontalize.predictor import FrontalizePredictor
from deform_frontalize.recipe import FrontalizeRecipe
from deform_inpaint.predictor import InpaintPredictor
from deform_inpaint.recipe import InpaintRecipe
from deformcli.data.spec import open_source
from deformcli.evaluation import measure
from deformcli.metrics import mse, psnr
from deformcli.recipes import Predictor, Recipe, open_items
from deformcli.weights.manifest import all_weights
from deformcli.weights.store import resolve_weights, verified_file


def _means(
    recipe: type[Recipe], predictor: Predictor, kind: str, portraits: Path, items: range
) -> dict[tuple[str, str], dict[str, float]]:
    data = Subset(open_items(recipe, predictor.config, [f"{kind}:{portraits}"], "test"), items)
    methods = {"ours": predictor.predict, **predictor.baselines()}
    metrics = {
        "mse": lambda image, target, batch: mse(image, target),
        "psnr": lambda image, target, batch: psnr(image, target),
    }
    found = measure(predictor, DataLoader(data, 16), methods, metrics, device=torch.device("cpu"))
    means: dict[tuple[str, str], dict[str, float]] = {}
    for method, metric in found.values:
        for group in set(found.groups):
            members = [own == group for own in found.groups]
            means.setdefault((method, group), {})[metric] = float(found.values[method, metric][members].mean())
    return means


@pytest.mark.parametrize("entry", [entry for entry in all_weights().values() if entry.source == "bundled"], ids=str)
def test_bundled_files_are_whole(entry):
    assert verified_file(entry, offline=True, again=True).stat().st_size == entry.size
    assert entry.metrics and entry.licence and entry.trained_on


def test_inpaint_beats_navier_stokes(shared):
    predictor = InpaintPredictor.from_weights(resolve_weights("inpaint-128", task="inpaint", offline=True))
    means = _means(InpaintRecipe, predictor, "folder", shared / "data" / "portraits", range(24))
    assert means["ours", "thin"]["psnr"] > means["navier-stokes", "thin"]["psnr"] + 1
    assert means["ours", "thick"]["psnr"] > means["navier-stokes", "thick"]["psnr"] + 1


def test_frontalize_beats_its_input(shared):
    predictor = FrontalizePredictor.from_weights(resolve_weights("frontalize-128", task="frontalize", offline=True))
    means = _means(FrontalizeRecipe, predictor, "rotated", shared / "data" / "portraits", range(60))
    for yaw in ("-60", "-45", "-30", "+30", "+45", "+60"):
        assert means["ours", yaw]["mse"] < 0.7 * means["copy", yaw]["mse"]


def test_nobody_is_trained_and_tested_on(shared):
    predictor = FrontalizePredictor.from_weights(resolve_weights("frontalize-128", task="frontalize", offline=True))
    spec = f"rotated:{shared}/data/portraits"
    train, test = (open_source(spec, split).data.pictures for split in ("train", "test"))
    assert not set(train.identities) & set(test.identities)
    assert len(next(iter(DataLoader(open_items(FrontalizeRecipe, predictor.config, [spec], "test"))))["image"]) == 1
