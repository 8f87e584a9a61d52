"""`deform runs`: what training left behind, in words and as curves in a real browser."""

from __future__ import annotations

import json
import re
import resource
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from deformcli.runs import last_run, new_run


@pytest.fixture
def runs(tmp_path):
    """Two runs below `all`, one of which has neither a description nor a whole last line."""
    for name, factor in (("a", 1.0), ("b<2>", 0.5)):
        folder = tmp_path / "all" / name
        folder.mkdir(parents=True)
        lines = [{"step": step, "total": factor / step, "images_per_second": 3.5} for step in range(1, 1001)]
        lines += [{"step": step, "held_out_mse": abs(step - 600) / 1000 * factor} for step in (500, 800)]
        (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    config = {"training": {"steps": 2000}, "losses": {"l1": 1.0}}
    (tmp_path / "all/a/run.json").write_text(json.dumps({"recipe": "inpaint", "config": config, "data": ["folder:x"]}))
    with (tmp_path / "all/b<2>/log.jsonl").open("a") as log:
        log.write('{"step": 1001, "tot')
    return tmp_path / "all"


def test_folders_are_numbered_and_nobodys_twice(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert last_run("inpaint") is None
    assert new_run("inpaint") == Path("runs/inpaint-1")
    for name in ("inpaint-7", "inpaint-x", "inpaint-8-old", "frontalize-9"):
        Path("runs", name).mkdir()
    Path("runs/inpaint-9").write_text("a file")
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(new_run, ["inpaint"] * 8))
    assert sorted(int(folder.name.rpartition("-")[2]) for folder in taken) == [8, *range(10, 17)]
    assert last_run("inpaint") == Path("runs/inpaint-16")


def test_list(command, runs):
    ended = command("runs", "list", "all")
    first, second = ended.out.splitlines()
    assert "inpaint" in first and "1000/2000" in first and "loss 0.0010" in first and "best 0.10000 at 500" in first
    assert "1000/?" in second and "best 0.05000 at 500" in second
    facts = json.loads(command("runs", "list", "all", "--json").out)
    assert [one["best"]["held_out_mse"] for one in facts] == [0.1, 0.05]


def test_show(command, runs):
    shown = dict(line.split(" = ", 1) for line in command("runs", "show", "all/a").out.splitlines())
    assert shown["config.losses.l1"] == "1.0"
    assert shown["last.total"] == "0.001"
    assert shown["best.step"] == "500"


def test_folders_without_a_run_are_refused(refused, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "no run in empty" in refused(5, "runs", "list", "empty")


def test_compare_draws_every_number_of_every_run(command, runs, tmp_path):
    assert command("runs", "compare", "all/a", "all/b<2>", "-o", "page.html").code == 0
    page = (tmp_path / "page.html").read_text()
    assert "http" not in page
    assert "b<2>" not in page and "b&lt;2&gt;" in page
    charts = dict(re.findall(r"<figcaption>(\w+)</figcaption>(<svg.*?</svg>)", page))
    assert set(charts) == {"total", "images_per_second", "held_out_mse"}
    curves = re.findall(r'points="([^"]+)"', charts["held_out_mse"])  # 0.1, 0.2 and half of that, on 420 x 220
    assert curves == ["262.5,146.7 420.0,0.0", "262.5,220.0 420.0,146.7"]
    long = re.findall(r'points="([^"]+)"', charts["total"])
    assert [100 < len(points.split()) <= 400 for points in long] == [True, True]


@pytest.mark.parametrize(
    "line", ['{"step": 7, "total": null, "odd": "x"}', '{"total": 1.0}', "[1]", '{"step": 7, "odd": NaN}', "\xff"]
)
def test_compare_leaves_out_what_is_no_number(command, runs, tmp_path, line):
    with (runs / "a/log.jsonl").open("a", encoding="latin-1") as log:
        log.write(line + "\n")
    ended = command("runs", "compare", "all/a", "-o", "page.html")
    assert (ended.code, ended.err) == (0, "")
    charts = re.findall(r"<figcaption>(\w+)</figcaption>", (tmp_path / "page.html").read_text())
    assert charts == ["total", "images_per_second", "held_out_mse"]


def test_compare_where_nothing_can_be_written(refused, runs, tmp_path):
    (tmp_path / "file").write_text("")
    assert "file/page.html cannot be written" in refused(1, "runs", "compare", "all", "-o", "file/page.html")


def test_compare_on_a_full_disk(refused, runs):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        assert "page.html cannot be written" in refused(1, "runs", "compare", "all", "-o", "page.html")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")
def test_the_page_in_a_browser(command, runs, tmp_path):
    command("runs", "compare", "all", "-o", "page.html")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/browser", "--dump-dom"]
    shown = subprocess.run(
        ["chromium", *options, f"file://{tmp_path}/page.html"], capture_output=True, text=True, timeout=200, check=True
    )
    assert shown.stdout.count("<polyline") == 6
