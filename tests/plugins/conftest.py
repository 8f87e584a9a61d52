"""The commands of the first-party plugins: within this process, or as real ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from deformcli import registry
from deformcli.cli import main

FIRST_PARTY = "frontalize,inpaint,train,evaluate,synthesize,studio"


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def command(tmp_path, monkeypatch, capfd) -> Callable[..., Ended]:
    """`command("inpaint", "a.png", ...)` runs the tool in this process, in an empty folder: no seconds of import."""
    monkeypatch.setenv("DEFORM_LOAD_PLUGINS", FIRST_PARTY)
    monkeypatch.setenv("DEFORM_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    registry.plugins.cache_clear()

    def run(*args: object) -> Ended:
        capfd.readouterr()
        code = main([str(arg) for arg in args])
        return Ended(code, *capfd.readouterr())

    yield run
    registry.plugins.cache_clear()


@pytest.fixture
def refused(command, tmp_path) -> Callable[..., str]:
    """`refused(4, "inpaint", ...)`: it ends with that code and two lines, and writes nothing; returns stderr."""

    def run(code: int, *args: object) -> str:
        before = set(tmp_path.rglob("*"))
        ended = command(*args)
        assert (ended.code, ended.out) == (code, "")
        cause, remedy = ended.err.splitlines()
        assert cause.startswith("error: ")
        assert remedy.startswith("  fix: ")
        assert len(cause) < 500
        assert "unexpected" not in cause
        assert set(tmp_path.rglob("*")) == before
        return ended.err

    return run


def save(path: Path, pixels: np.ndarray, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


@pytest.fixture(name="save")
def _save(tmp_path) -> Callable[..., Path]:
    """`save("a/b.png", pixels)` writes a picture below the working folder."""
    return lambda name, pixels, **options: save(tmp_path / name, pixels, **options)


@pytest.fixture
def bad_picture(tmp_path, smooth_picture, save) -> Callable[[str], Path]:
    """`bad_picture("truncated")`: a file that is no whole picture."""

    def make(fault: str) -> Path:
        path = tmp_path / "bad.png"
        if fault == "text":
            path.write_text("not a picture")
        elif fault == "empty":
            path.write_bytes(b"")
        elif fault == "truncated":
            save("bad.png", smooth_picture(60, 60))
            path.write_bytes(path.read_bytes()[:-300])
        return path

    return make


@pytest.fixture(params=["text", "truncated", "empty", "another task's", "a checkpoint"])
def bad_weights(request, tmp_path, tiny_weights) -> Callable[[str], Path]:
    """`bad_weights("inpaint")`: a .safetensors file that holds no weights of the task."""

    def make(task: str) -> Path:
        from deformcli.weights.networks import load_tensors, save_tensors

        path = tmp_path / "bad.safetensors"
        whole = tiny_weights(task)
        if request.param == "text":
            path.write_text("these are no weights")
        elif request.param == "truncated":
            path.write_bytes(whole.read_bytes()[:-500])
        elif request.param == "empty":
            path.write_bytes(b"")
        elif request.param == "another task's":
            path.write_bytes(tiny_weights({"inpaint": "frontalize", "frontalize": "inpaint"}[task]).read_bytes())
        else:
            tensors, about = load_tensors(whole)
            save_tensors(path, tensors, about | {"step": 10, "config": {"generator": about["config"]}})
        return path

    return make
