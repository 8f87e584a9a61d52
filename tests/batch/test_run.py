"""Running: batches, several outputs, refusals, memory that runs out, reports, exit codes, interruptions."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deformcli.batch import Done, FunctionJob, Output, Skipped, pipeline, plan, run
from deformcli.batch import files as batch_files
from deformcli.errors import DeformError, NothingToDoError, PartialError, UsageError
from deformcli.options import BatchOptions

NAMES = ["a.png", "b.png", "c.png"]


def pixels(path: str | Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def records(path: str = "r.jsonl") -> tuple[list[dict], dict]:
    """The items' records of a report, and its summary."""
    lines = [json.loads(line) for line in Path(path).read_text().splitlines()]
    assert all(set(line) == {"summary"} for line in lines[-1:])
    return lines[:-1], lines[-1]["summary"]


def files(folder: str = "out") -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file())


def test_pictures_and_report(folder, batch, negative, capsys):
    folder("a.png", "below/b.png", "c.png")
    Path("out").mkdir()
    Path("out/c.png").write_text("old")
    task = negative()
    report = batch(task, recursive=True, report="r.jsonl", as_json=True)
    assert task.loaded == 1
    assert np.array_equal(pixels("out/below/b.png"), 255 - pixels("in/below/b.png"))
    assert Path("out/c.png").read_text() == "old"
    items, summary = records()
    captured = capsys.readouterr()
    assert items == json.loads(captured.out) and captured.err == ""
    assert items[0] | {"seconds": 0} == {
        "number": 0,
        "source": "in/a.png",
        "target": "out/a.png",
        "status": "done",
        "outputs": ["out/a.png"],
        "seconds": 0,
        "notes": [],
        "error": "",
        "remedy": "",
        "exit_code": 0,
    }
    counts = {"total": 3, "done": 2, "skipped": 1, "failed": 0, "planned": 0, "left": 0, "exit_code": 0}
    assert summary | {"seconds": 0} == counts | {"seconds": 0}
    assert report.counts == {"done": 2, "skipped": 1}


def test_nothing_is_loaded_where_nothing_is_to_be_done(folder, batch, negative):
    folder(*NAMES)
    batch(negative())
    task = negative()
    assert batch(task).counts == {"skipped": 3}
    assert task.loaded == 0


def test_some_failed_is_3_and_a_rerun_resumes(folder, batch, negative, capsys):
    folder(*NAMES)
    with pytest.raises(PartialError, match="1 of 3 failed, 2 done, 0 skipped") as caught:
        batch(negative({"b.png": RuntimeError("boom")}), report="r.jsonl")
    assert caught.value.exit_code == 3
    assert capsys.readouterr().err == "failed: in/b.png: unexpected RuntimeError: boom\n"
    items, summary = records()
    assert [item["status"] for item in items] == ["done", "failed", "done"]
    assert (summary["failed"], summary["exit_code"]) == (1, 3)
    again = negative()
    assert batch(again).counts == {"done": 1, "skipped": 2}
    assert again.batches == [["b.png"]]


def test_failures_beside_what_was_there_are_3(folder, batch, negative):
    folder("a.png")
    batch(negative())
    folder("b.png")
    with pytest.raises(PartialError, match="1 of 2 failed, 0 done, 1 skipped"):
        batch(negative({"b.png": RuntimeError("boom")}))


def test_all_failed_is_1(folder, batch, negative):
    folder(*NAMES)
    with pytest.raises(DeformError, match="3 of 3 failed") as caught:
        batch(negative(dict.fromkeys(NAMES, NothingToDoError("no face", "give one"))))
    assert caught.value.exit_code == 1


def test_one_file_fails_with_its_own_error(folder, batch, negative, capsys):
    folder("a.png")
    with pytest.raises(NothingToDoError, match="no face"):
        batch(negative({"a.png": NothingToDoError("no face", "give one")}), ["in/a.png"], "out.png")
    with pytest.raises(DeformError, match="unexpected RuntimeError: boom"):
        batch(negative({"a.png": RuntimeError("boom")}), ["in/a.png"], "out.png")
    Path("in/a.png").write_text("no picture")
    with pytest.raises(UsageError, match="is not a picture"):
        batch(negative(), ["in/a.png"], "out.png")
    assert capsys.readouterr().err == ""


def test_what_load_raises_ends_the_run(folder, batch, negative):
    folder(*NAMES)
    task = negative()
    task.load = lambda: (_ for _ in ()).throw(UsageError("no such device", "use another"))
    with pytest.raises(UsageError, match="no such device"):
        batch(task, report="r.jsonl")
    assert not Path("out").exists()


def test_batches_are_of_one_size(folder, batch, negative):
    folder("a.png", "c.png", "e.png")
    folder("b.png", "d.png", size=(3, 3))
    task = negative()
    batch(task, batch_size=2)
    assert task.batches == [["a.png", "c.png"], ["b.png", "d.png"], ["e.png"]]
    mixed = negative(same_size=False)
    batch(mixed, batch_size=2, exists="overwrite")
    assert mixed.batches == [["a.png", "b.png"], ["c.png", "d.png"], ["e.png"]]


def test_pictures_that_gain_nothing_together_come_one_at_a_time(folder, batch, negative):
    folder(*NAMES)
    task = negative()
    task.together = False
    batch(task, batch_size=8)
    assert task.batches == [["a.png"], ["b.png"], ["c.png"]]


def test_many_sizes_do_not_pile_up(folder, batch, negative):
    for side in range(1, 30):
        folder(f"{side:02}.png", size=(side, side))
    task = negative()
    assert batch(task, batch_size=2, jobs=3, report="r.jsonl").counts == {"done": 29}
    assert [len(names) for names in task.batches] == [1] * 29
    assert [item["number"] for item in records()[0]] == list(range(29))


def test_large_pictures_do_not_wait_for_the_disk_in_numbers(folder, batch, negative, monkeypatch):
    names = [f"{number}.png" for number in range(8)]
    folder(*names)
    encode, waiting = batch_files.encode_image, []

    def slow(*args, **more):
        time.sleep(0.05)
        return encode(*args, **more)

    def count(work):
        waiting.append(work.item.number - len(list(Path("out").glob("*.png"))))
        return Done.with_picture(work.picture.replaced(255 - work.picture.rgb))

    monkeypatch.setattr(batch_files, "encode_image", slow)
    monkeypatch.setattr(pipeline, "AHEAD_PIXELS", 6 * 4)
    batch(negative(dict.fromkeys(names, count)), batch_size=1, jobs=4)
    assert len(waiting) == 8 and max(waiting) <= 1


def test_a_function_is_enough(folder, batch):
    folder(*NAMES)
    batch(FunctionJob(lambda pictures: [one.replaced(255 - one.rgb) for one in pictures]))
    assert np.array_equal(pixels("out/a.png"), 255 - pixels("in/a.png"))
    with pytest.raises(DeformError, match="3 of 3 failed"):
        batch(FunctionJob(lambda pictures: []), output="other")


def test_unchanged_picture_is_copied(folder, batch, negative):
    folder("a.jpg")
    unchanged = negative({"a.jpg": lambda work: Done.with_picture(work.picture)})
    batch(unchanged)
    assert Path("out/a.jpg").read_bytes() == Path("in/a.jpg").read_bytes()
    batch(unchanged, format="png")
    assert np.array_equal(pixels("out/a.png"), pixels("in/a.jpg"))


def two(work):
    inverse = work.picture.replaced(255 - work.picture.rgb)
    return Done([Output(work.picture), Output(inverse, work.beside("-2")), Output(inverse, Path("more/x.png"))])


def test_several_outputs_and_none(folder, batch, negative, capsys):
    folder(*NAMES)
    batch(negative({"a.png": two, "b.png": lambda work: Skipped("no face")}), report="r.jsonl")
    assert files() == ["a-2.png", "a.png", "c.png"] and files("more") == ["x.png"]
    items, _ = records()
    assert set(items[0]["outputs"]) == {"out/a.png", "out/a-2.png", "more/x.png"}
    assert items[0]["outputs"][-1] == "out/a.png"
    assert (items[1]["status"], items[1]["notes"]) == ("skipped", ["no face"])
    assert capsys.readouterr().err == "skipped: in/b.png: no face\n"


def test_all_files_of_a_picture_follow_exists_together(folder, batch, negative, capsys):
    folder("a.png")
    task = negative({"a.png": two})
    for name in ("out/a-2.png", "more/x.png"):
        Path(name).parent.mkdir()
        Path(name).write_text("old")
    batch(task)
    assert files() == ["a-2.png"] and Path("out/a-2.png").read_text() == "old"
    assert capsys.readouterr().err == "skipped: in/a.png: out/a-2.png is there already\n"
    for exists in ("error", None):
        with pytest.raises(UsageError, match=r"out/a-2\.png exists already"):
            batch(task, ["in/a.png"], "out/", exists=exists)
    assert files() == ["a-2.png"]
    batch(task, exists="rename")
    assert files() == ["a-1-2.png", "a-1.png", "a-2.png"] and files("more") == ["x-1.png", "x.png"]
    batch(task, exists="overwrite")
    assert np.array_equal(pixels("out/a-2.png"), 255 - pixels("in/a.png"))
    assert np.array_equal(pixels("out/a.png"), pixels("in/a.png"))


def test_renamed_files_of_one_picture_have_one_number(folder, batch, negative):
    folder("a.png")
    task = negative({"a.png": two})
    batch(task)
    batch(task, exists="rename")
    assert files() == ["a-1-2.png", "a-1.png", "a-2.png", "a.png"]
    assert files("more") == ["x-1.png", "x.png"]
    Path("out/a-2-2.png").write_text("old")
    assert batch(task, exists="rename", report="r.jsonl").counts == {"done": 1}
    assert set(files()) >= {"a-3.png", "a-3-2.png"} and "a-2-2-1.png" not in files()
    items, _ = records()
    assert (items[0]["target"], items[0]["outputs"][-1]) == ("out/a-3.png", "out/a-3.png")


def test_further_outputs_take_no_ones_place(folder, batch, negative):
    task = negative({"a.png": two})
    folder("a.png", "a-2.png")
    with pytest.raises(PartialError, match="1 of 2 failed"):
        batch(task, output="clash")
    assert np.array_equal(pixels("clash/a-2.png"), 255 - pixels("in/a-2.png"))


def test_older_files_beside_fewer_are_told(folder, batch, negative, capsys):
    folder("a.png", "b.png", "b-2.png")
    numbered = {"b.png": lambda work: Done([Output(work.picture)], numbered=True)}
    numbered["a.png"] = lambda work: Done([*two(work).outputs[:2]], numbered=True)
    for name in ("out/a-2.png", "out/a-3.png", "out/a-4.png", "out/a-6.png"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text("old")
    batch(negative(numbered), exists="overwrite", report="r.jsonl")
    told = ["out/a-3.png is of an earlier run", "out/a-4.png is of an earlier run"]
    assert capsys.readouterr().err.splitlines() == [f"note: in/a.png: {note}" for note in told]
    assert [item["notes"] for item in records()[0]] == [told, [], []]


@pytest.mark.parametrize("exists", ["skip", "error", "rename"])
def test_what_is_made_again_by_another_worker_is_done(folder, negative, exists):
    folder("a.png")
    options = BatchOptions(inputs=["in/a.png"], output="out/", exists=exists)
    items = [replace(item, repeatable=True) for item in plan(options)]

    def statuses() -> list[str]:
        return [one.status for one in pipeline.work_through(items, negative({"a.png": two}), options, frozenset())]

    assert [statuses(), statuses()] == [["done"], ["done"]]
    assert files() == ["a-2.png", "a.png"]
    Path("out/a-2.png").write_text("another's")
    assert statuses() == [{"skip": "skipped", "error": "failed", "rename": "done"}[exists]]
    assert Path("out/a-2.png").read_text() == "another's"


class Hungry(Exception):
    """Stands in for torch.OutOfMemoryError."""


def test_out_of_memory_halves_the_batch_and_goes_on(folder, batch, negative, capsys):
    names = [f"{number:02}.png" for number in range(16)]
    folder(*names)
    task = negative()
    make = task._one

    def hungry(work):
        if len(task.batches[-1]) > 2:
            raise Hungry("CUDA out of memory. Tried to allocate 2 GiB")
        return make(work)

    task._one = hungry
    assert batch(task, batch_size=8, report="r.jsonl").counts == {"done": 16}
    assert [len(names) for names in task.batches] == [8, 4, 2, 2, 2, 2, 2, 2, 2, 2]
    assert capsys.readouterr().err.splitlines() == [
        "out of memory with 8 pictures at once, going on with 4",
        "out of memory with 4 pictures at once, going on with 2",
    ]
    assert [item["number"] for item in records()[0]] == list(range(16))


def test_out_of_memory_with_one(folder, batch, negative):
    folder(*NAMES)
    with pytest.raises(PartialError):
        batch(negative({"b.png": MemoryError()}), report="r.jsonl")
    assert records()[0][1]["error"] == "out of memory with one picture of 6 x 4"


def test_stop_at_the_first_failure(folder, batch, negative):
    folder(*NAMES)
    task = negative({"a.png": ValueError("boom")})
    with pytest.raises(DeformError, match="1 of 3 failed, 0 done, 0 skipped, 2 left"):
        batch(task, on_error="stop", jobs=1)
    assert task.batches[0] == ["a.png"] and ["c.png"] not in task.batches


def test_dry_run_makes_nothing(folder, batch, negative, capsys):
    folder("a.png", "b.png")
    task = negative()
    assert batch(task, dry_run=True).counts == {"planned": 2}
    assert (task.loaded, task.batches, Path("out").exists()) == (0, [], False)
    assert capsys.readouterr().err.splitlines() == [
        "planned: in/a.png -> out/a.png",
        "planned: in/b.png -> out/b.png",
    ]


def test_dry_run_says_what_the_task_sees(folder, batch, negative, capsys):
    folder("a.png")
    Path("in/b.png").write_text("no picture")
    task = negative()
    task.preview = lambda work: [f"{work.picture.size[0]} wide"]
    with pytest.raises(PartialError):
        batch(task, dry_run=True)
    assert task.loaded == 1 and not Path("out").exists()
    assert capsys.readouterr().err.splitlines()[:2] == ["planned: in/a.png -> out/a.png", "  6 wide"]


def test_report_that_cannot_be_written_is_told_first(folder, batch, negative):
    folder("a.png")
    with pytest.raises(DeformError, match=r"the report gone/r\.jsonl cannot be written"):
        batch(negative(), report="gone/r.jsonl")
    for picture in ("in/a.png", "./in/../out/a.png"):
        with pytest.raises(UsageError, match="would overwrite an input or an output"):
            batch(negative(), report=picture)
    assert pixels("in/a.png").size and not Path("out").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a file that is always full")
def test_no_room_for_the_report_is_told_when_the_pictures_are_written(folder, batch, negative):
    folder(*NAMES)
    with pytest.raises(PartialError, match="the report /dev/full could not be written to its end: No space left"):
        batch(negative(), report="/dev/full")
    assert files() == NAMES


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_finishes_what_is_in_hand(folder, batch, negative, capsys, kind):
    names = [f"{number}.png" for number in range(9)]
    folder(*names)

    def interrupted(work):
        os.kill(os.getpid(), kind)
        return Done.with_picture(work.picture)

    before = signal.getsignal(kind)
    with pytest.raises(KeyboardInterrupt):
        batch(negative({"2.png": interrupted}), batch_size=2, jobs=1, report="r.jsonl")
    assert signal.getsignal(kind) == before
    assert files() == ["0.png", "1.png", "2.png", "3.png"]
    items, summary = records()
    assert [item["status"] for item in items] == ["done"] * 4
    assert (summary["done"], summary["left"], summary["exit_code"]) == (4, 5, 130)
    assert capsys.readouterr().err == "interrupted: 0 failed, 4 done, 0 skipped, 5 left\n"


def test_second_interrupt_ends_at_once_and_leaves_no_parts(folder, batch, negative):
    folder(*NAMES)

    def twice(work):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        return Done.with_picture(work.picture)

    with pytest.raises(KeyboardInterrupt):
        batch(negative({"b.png": twice}), batch_size=1, report="r.jsonl")
    assert records()[1]["exit_code"] == 130
    assert set(files()) <= {"a.png"}


def test_what_goes_wrong_in_the_middle_is_the_items_alone(folder, batch, negative):
    folder(*NAMES, "d.png")

    def vanish(work):
        Path("in/d.png").unlink()
        Path("out/c.png").mkdir(parents=True)  # nothing can be renamed to it
        return Done.with_picture(work.picture)

    with pytest.raises(PartialError, match="2 of 4 failed, 2 done"):
        batch(negative({"a.png": vanish}), batch_size=1, jobs=1, report="r.jsonl")
    items, _ = records()
    assert "out/c.png exists already" in items[2]["error"] and "no such file" in items[3]["error"]
    assert files() == ["a.png", "b.png"]


def test_full_disk(folder, batch, negative, monkeypatch):
    folder(*NAMES)
    write = Path.write_bytes

    def full(path, data):
        if len(list(path.parent.iterdir())) >= 2:
            write(path, data[:10])
            raise OSError(28, "No space left on device")
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(PartialError, match="1 of 3 failed"):
        batch(negative(), jobs=1, report="r.jsonl")
    assert "No space left on device" in records()[0][2]["error"]
    assert files() == ["a.png", "b.png"]


def test_stdout_is_the_pictures_alone(folder, batch, negative, monkeypatch):
    folder("a.png")
    with pytest.raises(UsageError, match="JSON"):
        batch(negative(), ["in/a.png"], "-", as_json=True)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    with pytest.raises(UsageError, match="terminal"):
        batch(negative(), ["in/a.png"], "-")


def test_no_input_is_that_and_no_picture_for_stdout(negative, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    with pytest.raises(UsageError, match="no input"):
        run(BatchOptions(), negative())


def test_bar_only_on_a_terminal(folder, batch, negative, capsys, monkeypatch):
    folder("a.png", "b.png")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    batch(negative())
    assert "2/2" in capsys.readouterr().err
    batch(negative(), exists="overwrite", no_progress=True)
    assert capsys.readouterr().err == ""
