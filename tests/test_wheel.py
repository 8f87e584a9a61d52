"""The wheel alone, in an environment of its own, run from another folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import numpy as np
import pytest

from deformcli.images import write_image

from .test_docs import blocks

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel; its dependencies, not deform, come from the running environment."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(folder)]
    subprocess.run([*build, str(ROOT)], check=True)
    venv.create(folder / "env", with_pip=False)
    python = folder / "env" / "bin" / "python"
    wheel = next(folder.glob("deformcli-*.whl"))
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", wheel], check=True
    )
    site = next((folder / "env" / "lib").glob("python*/site-packages"))
    # A plain path line: .pth files of the running environment, and with them an editable deform, are not followed.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "env"


def _run(environment: Path, folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    variables = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    variables["PATH"] = f"{environment / 'bin'}{os.pathsep}{variables['PATH']}"
    return subprocess.run(command, cwd=folder, env=variables, text=True, capture_output=True, check=False)


def test_carries_everything(environment: Path, tmp_path: Path) -> None:
    code = (
        "import deformcli, deform_frontalize, deform_inpaint, deform_train, deform_evaluate, deform_synthesize;"
        "import pathlib;"
        "import deform_studio; assert (pathlib.Path(deform_studio.__file__).parent / 'page' / 'index.html').is_file();"
        "from deformcli.weights import all_weights, verified_file;"
        "[verified_file(e) for e in all_weights().values() if e.source == 'bundled'];"
        "print(pathlib.Path(deformcli.__file__).parent)"
    )
    done = _run(environment, tmp_path, "python", "-c", code)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_relative_to(environment)


def test_carries_its_licence_and_the_credits(environment: Path) -> None:
    about = next((environment / "lib").glob("python*/site-packages/deformcli-*.dist-info"))
    assert {"License-File: LICENSE", "License-File: NOTICE"} <= set((about / "METADATA").read_text().splitlines())
    for name in ("LICENSE", "NOTICE"):
        assert (about / "licenses" / name).read_bytes() == (ROOT / name).read_bytes()


def test_frontalizes_from_another_folder(environment: Path, tmp_path: Path) -> None:
    photo = ROOT / "examples" / "three-quarter.jpg"
    done = _run(environment, tmp_path, "deform", "frontalize", str(photo), "-o", "out.png", "--offline")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.png").stat().st_size > 5000


def test_the_tutorial_installs_and_runs_both_example_plugins(environment: Path, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples" / "plugins", tmp_path, dirs_exist_ok=True)
    pictures = [f"photos/{number}.png" for number in range(30)]
    (tmp_path / "photos").mkdir()
    for path in ("photo.jpg", *pictures):
        write_image(np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8), tmp_path / path)
    # The environment has no pip of its own; this one installs into it, with what is here already.
    pip = environment / "bin" / "pip"
    flags = "--quiet --no-deps --no-build-isolation"
    pip.write_text(f'#!/bin/sh\n"{sys.executable}" -m pip --python "{environment}/bin/python" "$@" {flags}\n')
    pip.chmod(0o755)
    for script in blocks(ROOT / "docs" / "writing-a-plugin.md", "sh"):
        done = _run(environment, tmp_path, "sh", "-e", "-c", script)
        assert done.returncode == 0, done.stderr + done.stdout
    assert (tmp_path / "swirled.png").is_file() and len(list((tmp_path / "swirled").iterdir())) == len(pictures)
    assert "asymmetry ↓" in done.stdout and "leave the holes grey" in done.stdout
    tested = _run(environment, tmp_path, "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "deform-swirl")
    assert tested.returncode == 0, tested.stdout
