"""`deform evaluate sweep`: runs found by their settings, and their warped pictures side by side."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deformcli.data.splits import is_held_out


@pytest.fixture
def runs(tmp_path, tiny_weights, save, smooth_picture) -> Path:
    """A folder of two runs that differ in their rigidity, as `deform train` leaves them, and data."""
    for name, rigidity in (("a", 0.0), ("b", 0.5)):
        run = tmp_path / "runs" / name
        run.mkdir(parents=True)
        (run / "weights.safetensors").write_bytes(tiny_weights("inpaint").read_bytes())
        (run / "run.json").write_text(json.dumps({"config": {"losses": {"rigidity": rigidity}}}))
    for number in range(40):
        if is_held_out(f"{number}.png"):
            save(f"photos/{number}.png", smooth_picture(40, 40, number))
    return tmp_path / "runs"


ARGS = ("evaluate", "sweep", "inpaint", "--data", "folder:photos", "--size", 32, "--items", 2, "-o", "sheet.png")


def test_a_row_per_value_and_item(command, runs, tmp_path):
    ended = command(*ARGS, "--set", "losses.rigidity=0.5,0", "--runs", runs)
    assert (ended.code, ended.err) == (0, "")
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    columns, rows = 1 + 2 + 2, 2 * 2  # input, w1, w2, output, truth; two items of two runs
    assert sheet.shape == (18 + rows * 36, 96 + columns * 36, 3)
    assert (sheet[:18, 96:].min(2) < 128).reshape(18, columns, 36).any((0, 2)).all(), "every column is named"
    sheet = sheet[18:]
    truth = sheet[:, 96 + 4 * 36 : 96 + 4 * 36 + 32].reshape(rows, 36, 32, 3)
    assert (truth[0] == truth[1]).all() and (truth[2] == truth[3]).all()
    assert sheet[:, :96].reshape(rows, -1).min(1).max() < 128, "every row is named"


@pytest.mark.parametrize(
    ("setting", "folder", "words"),
    [
        ("losses.rigidity=0.1", "runs", "0 of these 2 runs were trained with losses.rigidity=0.1"),
        ("losses.rigidty=0", "runs", "no field 'rigidty'"),
        ("losses.rigidity=much", "runs", "is no float"),
        ("losses.rigidity=0", "photos", "no run of `deform train` there"),
    ],
)
def test_runs_that_are_not_there(refused, runs, setting, folder, words):
    assert words in refused(2, *ARGS, "--set", setting, "--runs", folder)


def test_damaged_run(refused, runs):
    (runs / "b" / "run.json").write_text("{")
    assert "not what `deform train` wrote" in refused(2, *ARGS, "--set", "losses.rigidity=0", "--runs", runs)
