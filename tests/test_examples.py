"""The example plugins as their users have them: installed, trained, measured, used."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deformcli.images import read_image, write_image

from .conftest import ROOT, clean_environment

PLUGINS = {
    "mirror-baseline": ("deform-mirror-baseline", "deform_mirror_baseline"),
    "swirl": ("deform-swirl", "deform_swirl"),
}


@pytest.fixture
def examples(deform, tmp_path):
    """`examples("swirl", ...)` runs the tool where both example plugins are installed, beside a folder of photos."""
    rng = np.random.default_rng(0)
    for number in range(30):
        write_image(rng.integers(0, 256, (40, 40, 3), np.uint8), tmp_path / "cwd" / "photos" / f"{number}.png")
    paths = []
    for name, (folder, module) in PLUGINS.items():
        info = tmp_path / "site" / f"{module}-0.1.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {folder}\nVersion: 0.1\n")
        (info / "entry_points.txt").write_text(f"[deformcli]\n{name} = {module}\n")
        paths.append(str(ROOT / "examples" / "plugins" / folder))
    path = os.pathsep.join([str(tmp_path / "site"), *paths, clean_environment(tmp_path)["PYTHONPATH"]])
    loaded = {"DEFORM_LOAD_PLUGINS": f"train,evaluate,{','.join(PLUGINS)}", "DEFORM_STRICT_PLUGINS": "1"}

    def run(*args: object) -> Path:
        done = deform(*args, PYTHONPATH=path, **loaded)
        assert done.returncode == 0, done.stderr
        return tmp_path / "cwd"

    return run


def test_mirror_is_trained_and_measured(examples):
    small = ("--batch-size", 2, "--set", "training.size=32", "--set", "training.workers=0")
    often = ("--steps", 4, "--sample-every", 2, "--eval-every", 2)
    folder = examples("train", "mirror", "--data", "folder:photos", "--out", "run", *often, *small)
    sheets = sorted((folder / "run" / "samples").iterdir())
    assert [path.name for path in sheets] == ["0000002.png", "0000004.png"]
    assert read_image(sheets[0]).rgb.shape == (2 * 32, 3 * 32, 3)  # 2 items; input, output, target
    measure = ("--weights", "run/weights-best.safetensors", "--size", 32, "--metrics", "mse,asymmetry")
    examples("evaluate", "mirror", "--data", "folder:photos", *measure, "--csv", "table.csv", "--html", "page.html")
    table = (folder / "table.csv").read_text()
    assert "leave the holes grey" in table and "asymmetry" in table
    assert "data:image/webp" in (folder / "page.html").read_text()


def test_swirl_twists_a_folder(examples):
    folder = examples("swirl", "photos", "-o", "swirled", "--turns", 0.7)
    before, after = (np.asarray(Image.open(folder / name / "3.png")) for name in ("photos", "swirled"))
    assert before.shape == after.shape
    assert (before[:3, :3] == after[:3, :3]).all() and (before != after).any()
    assert len(list((folder / "swirled").iterdir())) == 30
