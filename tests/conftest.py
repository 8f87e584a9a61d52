"""Fixtures of the whole suite: the shared data, `deform` as a real process, third-party plugins made on the spot."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as jobs in the background inherit it; Ctrl-C is tested here
    signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def served(server: ThreadingHTTPServer) -> Iterator[ThreadingHTTPServer]:
    """A server at work in a thread."""
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of data and helper networks beside the checkout; a test that needs it is skipped without it."""
    if not SHARED.is_dir():
        pytest.skip(f"needs the shared data beside the checkout ({SHARED.name}/ is not there)")
    return SHARED


@pytest.fixture(scope="session")
def photo() -> np.ndarray:
    """scikit-image's astronaut (512, 512, 3): a face a little left of the middle, near the top."""
    from skimage.data import astronaut

    return astronaut()


@pytest.fixture(scope="session")
def smooth_picture() -> Callable[..., np.ndarray]:
    """`smooth_picture(h, w)`: (h, w, 3) uint8 of blurred noise."""

    def make(height: int, width: int, seed: int = 0) -> np.ndarray:
        coarse = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
        return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)

    return make


@pytest.fixture
def converted(tmp_path: Path) -> Callable[[Path], Path]:
    """The tensors of a pickle as a .safetensors file, as `deform weights convert` makes it."""
    from deformcli.weights.pickles import convert

    def make(source: Path) -> Path:
        convert(source, tmp_path / f"{source.stem}.safetensors")
        return tmp_path / f"{source.stem}.safetensors"

    return make


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
def environment(tmp_path: Path) -> dict[str, str]:
    """For a process that has the first-party plugins and no other."""
    return clean_environment(tmp_path) | {"DEFORM_LOAD_PLUGINS": "frontalize,inpaint,train,evaluate,synthesize,studio"}


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


@pytest.fixture(scope="session")
def tiny_config() -> Callable[..., Any]:
    """`tiny_config("inpaint", "fw-gap", "training.steps=4")` is a preset with networks small enough for a test."""
    from deform_frontalize.recipe import FrontalizeRecipe
    from deform_inpaint.recipe import InpaintRecipe
    from deformcli.recipes import override

    narrow = {
        "frontalize": ["generator.regressor_widths=4,4,6,6,8", "generator.inpainter_widths=4,6,8"],
        "inpaint": ["generator.flows=2", "generator.regressor_width=4", "generator.merger_width=4"],
    }
    narrow["inpaint"] += ["generator.residual_blocks=1", "generator.gated_widths=4,6,8"]
    best = {"frontalize": ["generator.inpainter_blocks=1,1,1"], "inpaint": ["generator.merger_widths=4,6,8"]}
    best["inpaint"] += ["generator.merger_blocks=1,1,1"]
    quick = ["training.size=64", "training.batch_size=2", "training.workers=0", "training.amp=off"]

    def make(task: str, preset: str, *changes: str) -> Any:
        kind = {"frontalize": FrontalizeRecipe, "inpaint": InpaintRecipe}[task]
        return override(
            kind.presets[preset], [*narrow[task], *(best[task] if preset == "best" else ()), *quick, *changes]
        )

    return make


@pytest.fixture(scope="session")
def tiny_weights(tiny_config, tmp_path_factory) -> Callable[[str], Path]:
    """`tiny_weights("inpaint")` is a file of exported weights of an untrained, tiny network of the preset `best`."""
    from torch import manual_seed

    from deform_frontalize.networks import Generator as Frontalizing
    from deform_inpaint.networks import Generator as Inpainting
    from deformcli.weights.networks import export_generator

    folder = tmp_path_factory.mktemp("weights")

    def make(task: str) -> Path:
        path = folder / f"{task}.safetensors"
        if not path.exists():
            config = tiny_config(task, "best").generator
            manual_seed(0)
            network = {"frontalize": Frontalizing, "inpaint": Inpainting}[task](config)
            export_generator(path, network, task, asdict(config), 0)
        return path

    return make


def clean_environment(tmp_path: Path) -> dict[str, str]:
    """This process's environment without settings of deform and of the Hub, with a cache of its own."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("DEFORM_", "HF_", "_DEFORM"))}
    source = os.pathsep.join([str(ROOT / "src"), str(ROOT / "plugins")])
    # The tests of the tool itself see no plugins unless they name them.
    folders = {"DEFORM_CACHE_DIR": str(tmp_path / "cache"), "XDG_CONFIG_HOME": str(tmp_path / "config")}
    return kept | folders | {"PYTHONPATH": source, "DEFORM_LOAD_PLUGINS": ""}
