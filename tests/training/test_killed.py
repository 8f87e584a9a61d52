"""Killed at any moment, or with no room left on the disk: the run goes on from a whole checkpoint."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from deformcli.errors import DeformError
from deformcli.weights.networks import load_tensors

from .killed import SAVE_EVERY, trainer


def test_twenty_kills_break_no_checkpoint(tmp_path, environment):
    program = Path(__file__).with_name("killed.py")
    out = tmp_path / "run"
    command = [sys.executable, str(program), str(out), "20", "1"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400, check=False)
    assert ended.returncode == 0, ended.stderr[-3000:]
    lives = [json.loads(line) for line in ended.stdout.splitlines()]
    assert len(lives) == 20
    assert all(life["whole"] for life in lives)
    assert max(life["last"] - life["saved"] for life in lives) <= SAVE_EVERY
    assert [life["saved"] for life in lives] == sorted(life["saved"] for life in lives)
    final = load_tensors(out / "checkpoint.safetensors")[1]["step"]
    assert final == lives[-1]["saved"] + 2
    steps = [json.loads(line)["step"] for line in (out / "log.jsonl").read_text().splitlines()]
    assert steps == list(range(1, final + 1))
    assert not list(out.glob(".*"))


def test_a_full_disk_is_named_and_nothing_is_lost(tmp_path):
    first = trainer(tmp_path / "run", 2)
    first.run(lambda step, numbers: None, {})
    before = {path.name: path.read_bytes() for path in first.out.iterdir()}
    second = trainer(first.out, 4)
    assert second.step == 2
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))  # enough for the log
    try:
        with pytest.raises(DeformError, match=r"checkpoint\.safetensors cannot be written") as caught:
            second.run(lambda step, numbers: None, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "--resume auto" in caught.value.remedy
    after = {path.name: path.read_bytes() for path in first.out.iterdir()}
    assert {name for name in after if after[name] != before.get(name)} <= {"log.jsonl", "run.json"}
    third = trainer(first.out, 4)
    third.run(lambda step, numbers: None, {})
    assert load_tensors(first.out / "checkpoint.safetensors")[1]["step"] == 4
