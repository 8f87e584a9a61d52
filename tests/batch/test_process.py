"""A command in a process of its own: pipes, lists on stdin, signals, odd names."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ..conftest import clean_environment

NEGATIVE = """
    import os
    import time
    from pathlib import Path
    import deformcli
    from deformcli import options

    @deformcli.hookimpl
    def register_commands(app):
        app.command()(negative)

    @options.spread
    def negative(files: options.BatchOptions, wait: float = 0, gate: Path = None):
        from deformcli.batch import FunctionJob, run

        def inverted(pictures):
            time.sleep(wait)
            if gate:
                (gate / str(os.getpid())).touch()
                while not (gate / "open").exists():
                    time.sleep(0.02)
            return [one.replaced(one.rgb.max() - one.rgb) for one in pictures]
        run(files, FunctionJob(inverted))
"""
RGB = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)
PNG, JPEG = io.BytesIO(), io.BytesIO()
Image.fromarray(RGB).save(PNG, "PNG"), Image.fromarray(RGB).save(JPEG, "JPEG")


@pytest.fixture
def negative(install_plugin, tmp_path, monkeypatch):
    """`negative("-", "-o", "-", input=b"...")` runs the command in an empty folder; the completed process, in bytes."""
    monkeypatch.chdir(tmp_path)
    path = install_plugin("negative", NEGATIVE)
    environment = clean_environment(tmp_path) | {"PYTHONPATH": path, "DEFORM_LOAD_PLUGINS": "negative"}
    command = [sys.executable, "-m", "deformcli", "negative"]

    def run(*args: str, start=subprocess.run, **more):
        if start is subprocess.run:
            more = {"capture_output": True, "timeout": 120, "check": False} | more
        return start([*command, *args], env=environment, **more)

    return run


@pytest.mark.parametrize(("data", "kind"), [(PNG.getvalue(), "PNG"), (JPEG.getvalue(), "JPEG")])
def test_through_a_pipe(negative, data, kind):
    ended = negative("-", "-o", "-", input=data)
    assert (ended.returncode, ended.stderr) == (0, b"")
    with Image.open(io.BytesIO(ended.stdout)) as image:
        assert image.format == kind and image.size == (9, 6)
    webp = negative("-", "-o", "-", "--format", "webp", input=data)
    assert Image.open(io.BytesIO(webp.stdout)).format == "WEBP"


def test_without_an_output_it_lies_beside_and_stdout_names_it(negative):
    Path("a.png").write_bytes(PNG.getvalue())
    ended = negative("a.png")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"a-result.png\n", b"")
    again = negative("a.png")
    assert (again.returncode, again.stdout) == (2, b"") and b"a-result.png exists already" in again.stderr
    renamed = negative("a.png", "--exists", "rename", "-v")
    assert (renamed.stdout, renamed.stderr[:27]) == (b"a-result-1.png\n", b"a.png -> a-result-1.png in ")
    (told,) = json.loads(negative("a.png", "--exists", "overwrite", "--json").stdout)
    assert told["outputs"] == ["a-result.png"]
    piped = negative("-", input=PNG.getvalue())
    assert (np.array(Image.open(io.BytesIO(piped.stdout))) == RGB.max() - RGB).all()


def test_what_is_there_already_is_told_in_one_line(negative):
    Path("a.png").write_bytes(PNG.getvalue()), Path("a-result.png").write_bytes(PNG.getvalue())
    skipped = negative("a.png", "--exists", "skip")
    assert (skipped.returncode, skipped.stdout) == (0, b"a-result.png\n")
    assert skipped.stderr == b"1 of 1 skipped, 1 of them as the output is there already (see --exists)\n"
    Path("out").mkdir(), Path("out/a.png").write_bytes(PNG.getvalue())
    some = negative("a.png", "a-result.png", "-o", "out")
    assert some.stderr == b"1 of 2 skipped, 1 of them as the output is there already (see --exists)\n"
    quiet = negative("a.png", "a-result.png", "-o", "out", "--quiet")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, b"", b"")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipes_with_names(negative):
    os.mkfifo("pipe")
    threading.Thread(target=lambda: Path("pipe").write_bytes(JPEG.getvalue())).start()
    assert negative("pipe", "-o", "out.jpg").returncode == 0
    Path("in").mkdir(), os.mkfifo("in/pipe.png"), Path("in/a.png").write_bytes(PNG.getvalue())
    assert (
        negative("in", "-o", "out").returncode == 0
    )  # in folders they are left alone: nobody may ever write into them
    assert [path.name for path in Path("out").iterdir()] == ["a.png"]


def test_pipe_without_a_picture(negative):
    ended = negative("-", "-o", "-", input=b"")
    assert (ended.returncode, ended.stdout) == (2, b"")
    assert ended.stderr.startswith(b"error: stdin is not a picture\n")


def test_reader_that_is_gone(negative):
    Path("a.png").write_bytes(PNG.getvalue())
    read, write = os.pipe()
    os.close(read)
    ended = negative("a.png", "-o", "-", stdout=write, stderr=subprocess.PIPE, capture_output=False)
    os.close(write)
    assert (ended.returncode, ended.stderr) == (1, b"")


@pytest.mark.skipif(os.name == "nt", reason="POSIX descriptors")
@pytest.mark.parametrize(
    ("closed", "args", "code", "words"),
    [
        (0, ["a.png", "-o", "out.png"], 0, b""),
        (1, ["a.png", "-o", "out.png"], 0, b""),
        (2, ["a.png", "a.png", "b.png", "-o", "out/"], 0, b""),
        (0, ["-", "-o", "out.png"], 2, b"error: stdin is closed\n"),
        (0, ["--files-from", "-", "-o", "out/"], 2, b"error: stdin is closed\n"),
        (1, ["a.png", "-o", "-"], 2, b"error: stdout is closed\n"),
    ],
)
def test_closed_streams(negative, closed, args, code, words):
    for name in ("a.png", "b.png"):
        Path(name).write_bytes(PNG.getvalue())
    ended = negative(*args, preexec_fn=lambda: os.close(closed), stdin=subprocess.DEVNULL)
    assert (ended.returncode, ended.stdout) == (code, b"")
    assert ended.stderr.startswith(words) and ended.stderr.count(b"\n") == 2 * (code > 0)
    for path in Path(".").glob("out*"):
        with Image.open(path if path.is_file() else path / "a.png") as image:
            assert image.size == (9, 6)
    assert bool(list(Path(".").glob("out*"))) == (code == 0)


@pytest.mark.parametrize(
    ("exists", "codes", "names"),
    [
        ("rename", [0, 0, 0], ["o-1.png", "o-2.png", "o.png"]),
        ("error", [0, 2, 2], ["o.png"]),
        ("skip", [0, 0, 0], ["o.png"]),
        ("overwrite", [0, 0, 0], ["o.png"]),
    ],
)
def test_runs_at_once_lose_nothing(negative, exists, codes, names):
    """All have planned before the first writes: who comes second finds the name taken."""
    for name in "abc":
        Path(name).mkdir()
        Path(name, "o.png").write_bytes(PNG.getvalue())
    Path("gate").mkdir()
    args = ("-o", "out/", "--exists", exists, "--gate", "gate")
    runs = [negative(f"{name}/o.png", *args, start=subprocess.Popen, stderr=subprocess.PIPE) for name in "abc"]
    end = time.monotonic() + 60
    while len(list(Path("gate").iterdir())) < 3:
        assert time.monotonic() < end
        time.sleep(0.02)
    Path("gate/open").touch()
    told = [run.communicate(timeout=120)[1] for run in runs]
    assert sorted(run.returncode for run in runs) == codes
    assert sorted(path.name for path in Path("out").iterdir()) == names
    losers = {"error": b"o.png exists already", "skip": b"o.png is there already"}.get(exists)
    assert losers is None or sum(losers in words for words in told) == 2


def test_list_on_stdin_and_odd_names(negative):
    names = ["füße/日本 語.png", "sp ace/-o.png", "n" * 200 + "/" + "m" * 240 + ".png"]
    if sys.platform == "linux":
        names.append(os.fsdecode(b"\xff\xfe.png"))
    for name in names:
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_bytes(PNG.getvalue())
    listed = b"\0".join(map(os.fsencode, names))
    ended = negative("--files-from", "-", "-o", "out", "--report", "r.jsonl", input=listed)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")
    assert all((Path("out") / name).is_file() for name in names)
    assert json.loads(Path("r.jsonl").read_text().splitlines()[-1])["summary"]["done"] == len(names)


def test_ctrl_c(negative):
    Path("in").mkdir()
    for number in range(40):
        Path(f"in/{number:02}.png").write_bytes(PNG.getvalue())
    args = ("in", "-o", "out", "--wait", "0.3", "--batch-size", "2", "--report", "r.jsonl")
    process = negative(*args, start=subprocess.Popen, stderr=subprocess.PIPE, start_new_session=True)
    end = time.monotonic() + 60
    while not list(Path(".").glob("out/*.png")):
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, words = process.communicate(timeout=60)
    assert process.returncode == 130
    assert words.startswith(b"interrupted: 0 failed, ") and words.count(b"\n") == 1
    lines = [json.loads(line) for line in Path("r.jsonl").read_text().splitlines()]
    done = sorted(item["target"] for item in lines[:-1])
    assert done == sorted(str(path) for path in Path("out").iterdir())
    assert 0 < lines[-1]["summary"]["left"] == 40 - len(done)
    assert negative("in", "-o", "out").returncode == 0
    assert len(list(Path("out").iterdir())) == 40


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a pseudo-terminal")
def test_ctrl_c_answers_on_a_terminal(negative):
    Path("in").mkdir()
    for number in range(9):
        Path(f"in/{number}.png").write_bytes(PNG.getvalue())
    ours, theirs = os.openpty()
    args = ("in", "-o", "out", "--wait", "0.5", "--batch-size", "1", "--no-progress")
    process = negative(*args, start=subprocess.Popen, stderr=theirs, start_new_session=True)
    os.close(theirs)
    while not list(Path(".").glob("out/*.png")):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert b"once more ends at once" in os.read(ours, 1000)
    assert process.wait(60) == 130
    os.close(ours)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_folder_that_becomes_unwritable(negative):
    Path("in").mkdir(), Path("out").mkdir()
    for number in range(20):
        Path(f"in/{number:02}.png").write_bytes(PNG.getvalue())
    process = negative("in", "-o", "out", "--wait", "0.2", "--batch-size", "2", start=subprocess.Popen)
    while not list(Path("out").glob("*.png")):
        time.sleep(0.02)
    Path("out").chmod(0o500)
    assert process.wait(60) == 3
    Path("out").chmod(0o700)
    assert 0 < len(list(Path("out").iterdir())) < 20
