"""`--executor ray`: the same report and exit codes on a local cluster, whatever happens to its workers."""

from __future__ import annotations

import importlib.util
import json

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.slow  # a cluster takes its time to start

NEGATIVE = """
    import os, signal, time
    from pathlib import Path
    import typer, deformcli
    from deformcli import options

    @deformcli.hookimpl
    def register_commands(app):
        app.command()(negative)

    @options.spread
    def negative(files: options.BatchOptions, fault: str = ""):
        from deformcli.batch import run
        run(files, make(fault))

    def make(fault):
        from deformcli.batch import Done, Job
        from deformcli.errors import DeformError, WeightsError

        class Negative(Job):
            driver = os.getpid()

            def load(self):
                with open("workers", "a") as file:
                    file.write(f"{os.getpid()}\\n")
                if fault == "weights":
                    raise WeightsError("no weights here", "get some")

            def __call__(self, works):
                if fault == "kill" and any("07" in work.item.source.name for work in works):
                    if not os.path.exists("killed"):
                        Path("killed").write_text("once")
                        os.kill(os.getpid(), signal.SIGKILL)
                if fault == "interrupt":
                    time.sleep(0.3)
                    if any("03" in work.item.source.name for work in works):
                        os.kill(self.driver, signal.SIGINT)
                return [Done.with_picture(work.picture.replaced(255 - work.picture.rgb)) for work in works]

        return Negative()
"""


@pytest.fixture
def negative(deform, install_plugin, tmp_path):
    """`negative("--fault", "kill")` runs the command on 24 pictures, one of them damaged, on a cluster of two CPUs."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("needs ray")
    path = install_plugin("negative", NEGATIVE)
    folder = tmp_path / "cwd"
    (folder / "in").mkdir()
    for number in range(24):
        Image.new("RGB", (6, 4), (number, 0, 0)).save(folder / "in" / f"{number:02}.png")
    (folder / "in" / "13.png").write_text("no picture")
    variables = {"PYTHONPATH": path, "DEFORM_LOAD_PLUGINS": "negative", "OMP_NUM_THREADS": "1"}
    args = ("negative", "in", "-o", "out", "--executor", "ray", "--report", "r.jsonl", "--batch-size", "2")
    return lambda *more: deform(*args, *more, timeout=300, **variables), folder


@pytest.mark.parametrize("fault", ["", "kill"])
def test_nothing_is_lost(negative, fault):
    run, folder = negative
    ended = run("--fault", fault, "--json")
    assert ended.returncode == 3, ended.stderr
    assert "\nfailed: in/13.png is not a picture\n" in f"\n{ended.stderr}"
    assert "1 of 24 failed, 23 done" in ended.stderr and "Traceback" not in ended.stderr
    items = json.loads(ended.stdout)
    lines = [json.loads(line) for line in (folder / "r.jsonl").read_text().splitlines()]
    assert lines[:-1] == items and [item["number"] for item in items] == list(range(24))
    assert [item["source"] for item in items if item["status"] == "failed"] == ["in/13.png"]
    assert (lines[-1]["summary"]["done"], lines[-1]["summary"]["exit_code"]) == (23, 3)
    made = sorted((folder / "out").iterdir())
    assert [path.name for path in made] == [f"{number:02}.png" for number in range(24) if number != 13]
    assert np.asarray(Image.open(folder / "out/07.png"))[0, 0].tolist() == [255 - 7, 255, 255]
    workers = set((folder / "workers").read_text().split())
    assert len(workers) >= 2 + (fault == "kill")


def test_a_worker_that_cannot_load_ends_the_run(negative):
    run, folder = negative
    ended = run("--fault", "weights")
    assert ended.returncode == 4, ended.stderr
    assert ended.stderr.endswith("error: no weights here\n  fix: get some\n")
    assert not (folder / "out").exists()


def test_ctrl_c_reports_what_the_workers_had_in_hand(negative):
    run, folder = negative
    ended = run("--fault", "interrupt")
    assert ended.returncode == 130, ended.stderr
    *items, last = [json.loads(line) for line in (folder / "r.jsonl").read_text().splitlines()]
    done = sorted(item["target"] for item in items if item["status"] == "done")
    assert done == sorted(f"out/{path.name}" for path in (folder / "out").iterdir())
    assert 0 < len(items) < 24 and last["summary"]["left"] == 24 - len(items)


def test_stop_at_the_first_failure(negative):
    run, folder = negative
    ended = run("--on-error", "stop")
    assert ended.returncode == 3, ended.stderr
    assert "1 of 24 failed" in ended.stderr and " left\n" in ended.stderr
    assert not (folder / "out/14.png").exists()
