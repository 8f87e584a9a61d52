"""The documentation tells the truth: its code is the code, its commands run."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from deform_frontalize.config import PRESETS as FRONTALIZE_PRESETS
from deformcli.data.rotated import MOST_PITCH, MOST_YAW, USABLE
from deformcli.faces.pose import OUTER_EYES
from deformcli.images import read_image, write_image
from deformcli.weights.manifest import CORE_MANIFEST, read_manifest

from .conftest import ROOT, clean_environment

DOCS = ROOT / "docs"
SWIRL = ROOT / "examples" / "plugins" / "deform-swirl"


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a page that are in `language`."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def test_the_tutorial_is_the_example():
    page = DOCS / "writing-a-plugin.md"
    assert blocks(page, "toml") == [(SWIRL / "pyproject.toml").read_text("utf-8")]
    assert blocks(page, "python") == [
        (SWIRL / f"{name}.py").read_text("utf-8") for name in ("deform_swirl", "test_swirl")
    ]


@pytest.mark.parametrize("page", ["method", "weights", "configuration", "own-data", "data", "evaluation"])
def test_every_command_runs(page, tmp_path, monkeypatch):
    """The sh blocks of a page, one after another in one shell, in a folder with what they name."""
    script = "".join(blocks(DOCS / f"{page}.md", "sh"))
    if re.search("^deform (frontalize|inpaint)", script, re.MULTILINE) and "frontalize-128" not in read_manifest(
        CORE_MANIFEST
    ):
        pytest.skip("needs the bundled weights")
    environment = _at_work(tmp_path)
    folder = tmp_path / "work"
    shutil.copytree(ROOT / "examples", folder, ignore=shutil.ignore_patterns("plugins"))
    torch.save({"features.0.weight": torch.zeros(3)}, folder / "vgg16.pth")
    if page in ("own-data", "data", "evaluation"):
        _photos_with_meshes(folder / "photos")
        (folder / "photos").with_name("portraits").symlink_to("photos")
    if page == "configuration":
        (folder / "deform.toml").write_text(blocks(DOCS / "configuration.md", "toml")[0])
    done = subprocess.run(
        ["sh", "-e", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr


def test_the_readmes_first_commands(tmp_path):
    """As they are written, on small files; settings make the training short."""
    if "frontalize-128" not in read_manifest(CORE_MANIFEST):
        pytest.skip("needs the bundled weights")
    script = re.search(r"^( {4}.*\n)+", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE)[0]
    environment, folder, examples = _at_work(tmp_path), tmp_path / "work", ROOT / "examples"
    folder.mkdir()
    shutil.copy(examples / "three-quarter.jpg", folder / "photo.jpg")
    picture, mask = read_image(examples / "astronaut.jpg").rgb[:96, :96], np.zeros((96, 96, 3), np.uint8)
    mask[40:44] = 255
    write_image(picture, folder / "img.png")
    write_image(mask, folder / "m.png")
    for number in (1, 2, 162_771, 182_638):  # of every split
        write_image(picture, folder / f"data/celeba/img_align_celeba/{number:06}.jpg")
    (folder / "deform.toml").write_text(
        '[train]\nsteps = 1\nbatch-size = 2\nset = ["training.size=64", "training.workers=0"]\n'
    )
    done = subprocess.run(
        ["sh", "-e", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "img-inpainted.png\n"), done.stderr
    first, second, *_ = done.stderr.splitlines()
    assert (first, second) == ("--data celeba: found celeba:data/celeba", "the run is runs/inpaint-1")
    assert read_image(folder / "out.png").size == (128, 128)
    filled = read_image(folder / "img-inpainted.png").rgb
    assert (filled[mask == 0] == picture[mask == 0]).all() and (filled[40:44] != picture[40:44]).any()
    assert (folder / "runs/inpaint-1/weights.safetensors").is_file()


def _at_work(tmp_path: Path) -> dict[str, str]:
    """Where `deform` is on the PATH and has the first-party plugins."""
    program = tmp_path / "bin" / "deform"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m deformcli "$@"\n')
    program.chmod(0o755)
    environment = clean_environment(tmp_path) | {
        "DEFORM_LOAD_PLUGINS": "frontalize,inpaint,train,evaluate,synthesize,studio"
    }
    return environment | {"PATH": f"{program.parent}:{environment['PATH']}"}


def _photos_with_meshes(folder: Path) -> None:
    """Twenty pictures, some of them held out, and a made-up face mesh for each."""
    rng, names = np.random.default_rng(0), [f"{number}.png" for number in range(20)]
    points = rng.uniform((40, 40, -10), (90, 110, 10), (20, 468, 3))
    for corners, x, y in (((33, 133), 50, 60), ((362, 263), 80, 60), ((61, 291), 65, 92)):
        points[:, corners, :2] = np.array([[x - 5, y], [x + 5, y]])
    for name in names:
        write_image(rng.integers(0, 256, (130, 130, 3), np.uint8), folder / name)
    angles, spread = np.zeros((20, 3)), np.zeros(20)
    np.savez(folder / "facemesh.npz", name=names, points=points, yaw_pitch_roll_2d=angles, spread=spread)


def test_the_steps_of_the_page_are_the_presets():
    best = FRONTALIZE_PRESETS["best"]
    page = " ".join((DOCS / "own-data.md").read_text("utf-8").split())
    assert f"its first {best.flow_warmup:,} steps (`flow_warmup`)" in page
    training = best.training
    assert f"at step {training.adversarial_from:,} of {training.steps:,} (`training.adversarial_from`)" in page


def test_limits_of_the_page_are_the_codes():
    page = " ".join((DOCS / "data.md").read_text("utf-8").split())
    assert f"beyond {MOST_YAW:g} degrees of yaw or {MOST_PITCH:g} of pitch, or of a spread of {USABLE:g}" in page
    left, right = OUTER_EYES
    assert f"outer eye corners (points {left} and {right})" in page


def test_manifest_of_the_page_is_one(tmp_path):
    (tmp_path / "manifest.toml").write_text(blocks(DOCS / "weights.md", "toml")[0])
    assert list(read_manifest(tmp_path / "manifest.toml")) == ["swirl-64"]


def test_figures_are_what_the_tool_draws(tmp_path):
    specification = importlib.util.spec_from_file_location("figures", ROOT / "tools" / "figures.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    for drawn in module.figures(tmp_path):
        committed = read_image(DOCS / "images" / drawn.name).rgb.astype(int)
        assert abs(committed - read_image(drawn).rgb).mean() < 1, f"run python tools/figures.py ({drawn.name})"


def test_tests_that_reliability_names_are_there():
    names = set(re.findall(r"`(tests/\S+?)`", (DOCS / "reliability.md").read_text("utf-8")))
    assert names and all((ROOT / name).is_file() for name in names)
