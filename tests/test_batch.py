"""Planning (trees, collisions, what is there already) and running (failures, reports, exit codes)."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from deformcli import batch
from deformcli.errors import DeformError, NothingToDoError, PartialError, UsageError


@pytest.fixture
def tree(tmp_path, monkeypatch) -> Path:
    """An empty working folder with in/a.png, in/b.JPG, in/notes.txt, in/.hidden.png and in/sub/a.png."""
    monkeypatch.chdir(tmp_path)
    for name in ("in/a.png", "in/b.JPG", "in/notes.txt", "in/.hidden.png", "in/sub/a.png"):
        write(name)
    return tmp_path


def write(path: str | Path, text: str = "x") -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)


def planned(*args, **options) -> dict[str, str]:
    return {str(item.source): str(item.target) for item in batch.plan(*args, **options)}


def copy(item: batch.Item) -> None:
    item.target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(item.source, item.target)


@pytest.mark.parametrize(
    ("inputs", "output", "recursive", "expected"),
    [
        (["in/a.png"], "out.webp", False, {"in/a.png": "out.webp"}),
        (["in/a.png"], "out/", False, {"in/a.png": "out/a.png"}),
        (["in/a.png"], "in/sub", False, {"in/a.png": "in/sub/a.png"}),
        (["in"], "out", False, {"in/a.png": "out/a.png", "in/b.JPG": "out/b.JPG"}),
        (["in"], "out", True, {"in/a.png": "out/a.png", "in/b.JPG": "out/b.JPG", "in/sub/a.png": "out/sub/a.png"}),
        (["in/*.png"], "out", False, {"in/a.png": "out/a.png"}),
        (["in/**/a.png"], "out", False, {"in/a.png": "out/a.png", "in/sub/a.png": "out/sub/a.png"}),
        (["in/a.png", "in", "./in/a.png"], "out", False, {"in/a.png": "out/a.png", "in/b.JPG": "out/b.JPG"}),
    ],
)
def test_plan(tree, inputs, output, recursive, expected):
    found = planned(inputs, output, recursive=recursive, exists="overwrite")
    assert found == {str(Path(a)): str(Path(b)) for a, b in expected.items()}
    assert not (tree / "out").exists()


def test_format_that_cannot_be_written_becomes_png(tree):
    write("anim/a.gif")
    assert planned(["anim"], "out") == {"anim/a.gif": "out/a.png"}
    with pytest.raises(UsageError, match=r"suffix '\.gif'"):
        batch.plan(["anim/a.gif"], "out.gif")


def test_results_of_an_earlier_run_are_no_input(tree):
    first = batch.plan(["in"], "in/out", recursive=True)
    batch.run(first, copy)
    again = batch.plan(["in"], "in/out", recursive=True)
    assert [item.source for item in again] == [item.source for item in first]
    assert all(item.skipped for item in again)
    assert planned(["in/**/*.png"], "in/out", exists="overwrite").keys() == {"in/a.png", "in/sub/a.png"}


def test_input_below_the_output_folder_is_read(tree):
    assert planned(["in/sub"], ".") == {"in/sub/a.png": "a.png"}


@pytest.mark.parametrize(
    ("inputs", "output", "cause"),
    [
        (["gone.png"], "out.png", "no such file or folder: gone.png"),
        (["in/a.png"], "out.txt", "suffix '.txt'"),
        (["in/a.png"], "in/a.png", "is an input and would be overwritten"),
        (["in/a.png"], "in/../in/a.png", "is an input and would be overwritten"),
        (["in/*.png"], "in", "is an input and would be overwritten"),
        (["in"], "in", "the input and the output folder"),
        (["in"], "in/notes.txt", "is a file"),
        (["in"], "out.png", "looks like a file"),
        (["in/a.png", "in/sub/a.png"], "out", "would both become"),
    ],
)
def test_plan_refuses(tree, inputs, output, cause):
    with pytest.raises(UsageError, match=cause):
        batch.plan(inputs, output)


@pytest.mark.parametrize("inputs", [["empty"], ["in/*.webp"], ["in/notes*"]])
def test_no_match_is_nothing_to_do(tree, inputs):
    (tree / "empty").mkdir()
    with pytest.raises(NothingToDoError, match="no picture in") as caught:
        batch.plan(inputs, "out")
    assert caught.value.exit_code == 5


def test_exists(tree):
    for name in ("out/a.png", "out/a-1.png"):
        write(name, "old")
    assert [item.skipped for item in batch.plan(["in"], "out")] == [True, False]
    assert planned(["in"], "out", exists="rename")["in/a.png"] == "out/a-2.png"
    assert planned(["in"], "out", exists="overwrite")["in/a.png"] == "out/a.png"
    for inputs, exists in [(["in"], "error"), (["in/a.png"], None)]:
        with pytest.raises(UsageError, match=r"out/a\.png exists already"):
            batch.plan(inputs, "out", exists=exists)
    (tree / "out" / "b.JPG").mkdir()
    with pytest.raises(UsageError, match="is a folder"):
        batch.plan(["in"], "out")


def test_renamed_files_do_not_meet(tree):
    for name in ("in/a-1.png", "out/a.png"):
        write(name)
    assert planned(["in"], "out", exists="rename")["in/a.png"] == "out/a-2.png"


def test_output_that_cannot_be_written_is_told_before_any_work(tree):
    with pytest.raises(DeformError, match=r"the output folder in/notes\.txt/deep cannot be written"):
        batch.plan(["in"], "in/notes.txt/deep")
    if Path("/proc/self").exists():
        with pytest.raises(DeformError, match="cannot be written"):
            batch.plan(["in"], "/proc/deform")
    if hasattr(os, "geteuid") and os.geteuid() != 0:
        (tree / "locked").mkdir(mode=0o500)
        with pytest.raises(DeformError, match="locked"):
            batch.plan(["in"], "locked/out")


def failing(*names: str):
    def process(item: batch.Item) -> None:
        if item.source.name in names:
            raise NothingToDoError("no face", "give one") if item.source.name == "a.png" else RuntimeError("boom")
        copy(item)

    return process


def test_run_copies_and_reports(tree, capsys):
    write("out/b.JPG", "old")
    report = batch.run(batch.plan(["in"], "out"), copy, report="report.jsonl", as_json=True)
    assert (report.count("done"), report.count("skipped")) == (1, 1)
    assert (tree / "out" / "b.JPG").read_text() == "old"
    lines = [json.loads(line) for line in (tree / "report.jsonl").read_text().splitlines()]
    captured = capsys.readouterr()
    assert lines == json.loads(captured.out) and captured.err == ""
    assert lines[0] | {"seconds": 0} == {
        "source": "in/a.png",
        "target": "out/a.png",
        "status": "done",
        "seconds": 0,
        "error": "",
        "exit_code": 0,
    }


def test_some_failed_is_3(tree, capsys):
    items = batch.plan(["in"], "out", recursive=True)
    with pytest.raises(PartialError, match="1 of 3 failed, 2 done, 0 skipped") as caught:
        batch.run(items, failing("b.JPG"), report="r.jsonl")
    assert caught.value.exit_code == 3
    assert capsys.readouterr().err == "failed: in/b.JPG: unexpected RuntimeError: boom\n"
    lines = Path("r.jsonl").read_text().splitlines()
    assert [json.loads(line)["status"] for line in lines] == ["done", "failed", "done"]


def test_all_failed_is_1(tree, capsys):
    with pytest.raises(DeformError, match="2 of 2 failed") as caught:
        batch.run(batch.plan(["in"], "out"), failing("a.png", "b.JPG"))
    assert caught.value.exit_code == 1


def test_one_file_fails_with_its_own_error(tree, capsys):
    with pytest.raises(NothingToDoError, match="no face"):
        batch.run(batch.plan(["in/a.png"], "out.png"), failing("a.png"))
    with pytest.raises(RuntimeError, match="boom"):
        batch.run(batch.plan(["in/b.JPG"], "out.png"), failing("b.JPG"))
    assert capsys.readouterr().err == ""


def test_stop_at_the_first_failure(tree):
    seen = []

    def process(item: batch.Item) -> None:
        seen.append(item.source.name)
        raise ValueError

    with pytest.raises(DeformError):
        batch.run(batch.plan(["in"], "out"), process, on_error="stop")
    assert seen == ["a.png"]


def test_dry_run_makes_nothing(tree, capsys):
    report = batch.run(batch.plan(["in"], "out"), failing("a.png"), dry_run=True)
    assert report.count("planned") == 2 and not (tree / "out").exists()
    assert capsys.readouterr().err.splitlines() == [
        "planned: in/a.png -> out/a.png",
        "planned: in/b.JPG -> out/b.JPG",
    ]


def test_report_that_cannot_be_written_is_told_first(tree):
    with pytest.raises(DeformError, match=r"the report gone/r\.jsonl cannot be written"):
        batch.run(batch.plan(["in"], "out"), copy, report="gone/r.jsonl")
    assert not (tree / "out").exists()


def test_interrupt_leaves_the_report_of_what_was_done(tree):
    def process(item: batch.Item) -> None:
        if item.source.name == "b.JPG":
            raise KeyboardInterrupt
        copy(item)

    with pytest.raises(KeyboardInterrupt):
        batch.run(batch.plan(["in"], "out"), process, report="r.jsonl")
    assert json.loads((tree / "r.jsonl").read_text())["status"] == "done"


def test_bar_only_on_a_terminal(tree, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    batch.run(batch.plan(["in"], "out"), copy)
    assert "2/2" in capsys.readouterr().err
    batch.run(batch.plan(["in"], "out", exists="overwrite"), copy, progress=False)
    assert capsys.readouterr().err == ""
