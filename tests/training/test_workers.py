"""Data that fail in the middle of a run: it ends within seconds, saved, and says which item it was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress

import pytest

from deformcli.weights.networks import load_tensors

PLUGIN = """
import os, signal, sys
import numpy as np
import deformcli

@deformcli.hookimpl
def register_datasets():
    return {"failing": "deform_failing:open_failing"}

def open_failing(root, split, *, by):
    from deformcli.data import Pictures
    class Failing(Pictures):
        count = 0
        def __len__(self):
            return 40
        def name(self, index):
            return f"{root}/{index}.png"
        def read(self, index):
            Failing.count += 1
            if Failing.count > 30 and split == "train":
                if by == "error":
                    raise KeyError("a bug")
                if by == "exit":
                    sys.exit(3)
                if by == "kill":
                    os.kill(os.getpid(), signal.SIGKILL)
            return np.full((40, 40, 3), index, np.uint8)
    return Failing()
"""
SMALL = ["size=32", "batch_size=1", "save_every=100000", "sample_every=0", "log_every=1", "eval_every=0", "amp=off"]
NARROW = ["flows=1", "regressor_width=2", "merger_width=2", "residual_blocks=1"]
SETTINGS = [f"--set=training.{value}" for value in SMALL] + [f"--set=generator.{value}" for value in NARROW]


@pytest.mark.parametrize(
    ("workers", "by", "words"),
    [
        (0, "error", ["nowhere/", ".png", "KeyError: 'a bug'"]),
        (2, "error", ["nowhere/", ".png", "KeyError: 'a bug'"]),
        (2, "exit", ["a process that prepares data ended with status 3"]),
        (2, "kill", ["a process that prepares data ended by SIGKILL"]),
    ],
)
def test_what_fails_in_a_worker_ends_the_run_saved(tmp_path, environment, install_plugin, workers, by, words):
    paths = install_plugin("failing", PLUGIN)
    environment |= {"PYTHONPATH": paths, "DEFORM_LOAD_PLUGINS": "inpaint,train,failing", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "deformcli", "train", "inpaint", "--data", f"failing:nowhere?by={by}"]
    command += ["--out", "run", "--steps", "100000", f"--set=training.workers={workers}", *SETTINGS]
    process = subprocess.Popen(
        command, env=environment, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        said = process.communicate(timeout=100)[1]
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    cause, remedy = said.splitlines()[-2:]
    assert process.returncode == 1
    assert cause.startswith("error: ") and remedy.startswith("  fix: ")
    assert all(word in cause for word in words), cause
    assert "unexpected" not in said and "Traceback" not in said
    step = load_tensors(tmp_path / "run/checkpoint.safetensors")[1]["step"]
    assert f"step {step}/100000" in said and step > 20
