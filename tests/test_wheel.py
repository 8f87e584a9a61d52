"""The wheel alone, in an environment of its own, run from another folder."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

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
    return subprocess.run([environment / "bin" / command[0], *command[1:]], cwd=folder, env=variables, text=True,
                          capture_output=True, check=False)  # fmt: skip


def test_carries_everything(environment: Path, tmp_path: Path) -> None:
    code = (
        "import deformcli, deform_frontalize, deform_inpaint, deform_train, deform_evaluate, pathlib;"
        "from deformcli.manifest import manifest; from deformcli.weights import verified_file;"
        "[verified_file(e) for e in manifest().values() if e.source == 'bundled'];"
        "print(pathlib.Path(deformcli.__file__).parent)"
    )
    done = _run(environment, tmp_path, "python", "-c", code)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_relative_to(environment)


def test_frontalizes_from_another_folder(environment: Path, tmp_path: Path) -> None:
    photo = ROOT / "examples" / "turned-45.jpg"
    done = _run(environment, tmp_path, "deform", "frontalize", str(photo), "-o", "out.png", "--offline")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.png").stat().st_size > 5000
