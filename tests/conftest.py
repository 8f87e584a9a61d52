"""Fixtures of the whole suite: the shared data, `deform` as a real process, third-party plugins made on the spot."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of data and helper networks beside the checkout; a test that needs it is skipped without it."""
    if not SHARED.is_dir():
        pytest.skip(f"needs the shared data beside the checkout ({SHARED.name}/ is not there)")
    return SHARED


@pytest.fixture
def deform(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`deform("weights", "list", DEFORM_DEBUG="1")` runs the tool in a process of its own, in an empty folder."""
    folder = tmp_path / "cwd"
    folder.mkdir()

    def run(*args: object, timeout: float = 120, **variables: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "deformcli", *map(str, args)]
        environment = clean_environment(tmp_path) | variables
        return subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout, check=False
        )

    return run


@pytest.fixture
def install_plugin(tmp_path: Path) -> Callable[..., str]:
    """`install_plugin("swirl", source)` makes an installed distribution; returns the PYTHONPATH that has it."""
    site = tmp_path / "site"

    def install(name: str, source: str) -> str:
        info = site / f"deform_{name}-0.1.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: deform-{name}\nVersion: 0.1\n")
        (info / "entry_points.txt").write_text(f"[deformcli]\n{name} = deform_{name}\n")
        (site / f"deform_{name}.py").write_text(textwrap.dedent(source))
        return os.pathsep.join([str(site), clean_environment(tmp_path)["PYTHONPATH"]])

    return install


def clean_environment(tmp_path: Path) -> dict[str, str]:
    """This process's environment without settings of deform and of the Hub, with a cache of its own."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("DEFORM_", "HF_", "_DEFORM"))}
    source = os.pathsep.join([str(ROOT / "src"), str(ROOT / "plugins")])
    # The tests of the tool itself see no plugins unless they name them.
    return kept | {"PYTHONPATH": source, "DEFORM_CACHE_DIR": str(tmp_path / "cache"), "DEFORM_LOAD_PLUGINS": ""}
