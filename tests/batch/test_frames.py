"""`--frame all`: every page or frame of a file through a job, and back into one file where the format holds them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from deformcli.batch import Done, Output, Refused, Skipped
from deformcli.errors import UsageError

COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
NEGATIVE = [(0, 255, 255), (255, 0, 255), (255, 255, 0)]


@pytest.fixture
def frames(folder):
    """`frames("a.gif")` writes an animation, or pages, into `in`."""

    def make(name: str) -> None:
        folder()
        first, *more = [Image.new("RGB", (6, 4), colour) for colour in COLOURS]
        options = {} if name.endswith("tif") else {"duration": [100, 200, 350], "loop": 0}
        options |= {"lossless": True} if name.endswith("webp") else {}
        path = folder() / "in" / name
        path.parent.mkdir(exist_ok=True)
        first.save(path, save_all=True, append_images=more, **options)

    return make


def told(path) -> list[tuple[object, tuple[int, int, int]]]:
    with Image.open(path) as image:
        found = []
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            image.load()
            found.append((image.info.get("duration"), image.convert("RGB").getpixel((3, 2))))
        return found


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp", "a.tif"])
def test_all_frames_into_a_file_of_the_same_format(frames, batch, negative, name):
    frames(name)
    job = negative()
    batch(job, frame="all")
    durations = [None] * 3 if name.endswith("tif") else [100, 200, 350]
    assert told(f"out/{name}") == list(zip(durations, NEGATIVE, strict=True))


@pytest.mark.parametrize(("name", "to"), [("a.gif", "jpg"), ("a.tif", "png"), ("a.tif", "webp")])
def test_numbered_files_where_the_format_holds_no_frames(frames, batch, negative, name, to):
    frames(name)
    job = negative()
    batch(job, frame="all", format=to, quality=100)
    for number, colour in enumerate(NEGATIVE, 1):
        ((_, found),) = told(f"out/a-{number}.{to}")
        assert np.abs(np.subtract(found, colour)).max() < 8


def test_one_frame_among_files_of_several(frames, folder, batch, negative, capsys):
    frames("a.gif"), folder("b.png", "c.jpg")
    job = negative()
    batch(job, frame="all")
    assert len(told("out/a.gif")) == 3 and len(told("out/b.png")) == 1
    assert job.batches and capsys.readouterr().err == ""


def test_frame_that_fails_is_named_and_nothing_is_written(frames, folder, batch, negative):
    calls = iter([Done.with_picture, lambda picture: Refused(UsageError("no face", "another")), Done.with_picture])
    job = negative({"a.gif": lambda work: next(calls)(work.picture)})
    job.together = False
    frames("a.gif")
    with pytest.raises(UsageError, match="frame 2: no face"):
        batch(job, frame="all")
    assert not (folder() / "out" / "a.gif").exists()


def test_frame_that_is_skipped(frames, batch, negative, capsys):
    job = negative({"a.gif": lambda work: Skipped("no face")})
    frames("a.gif")
    batch(job, frame="all")
    assert "skipped: in/a.gif: frame 1: no face" in capsys.readouterr().err


def test_files_beside_the_frames_have_their_numbers(frames, folder, batch, negative):
    job = negative({"a.gif": lambda work: Done([Output(work.picture, work.beside("-mask")), Output(work.picture)])})
    frames("a.gif")
    batch(job, frame="all")
    made = sorted(path.name for path in (folder() / "out").iterdir())
    assert made == ["a-mask-frame1.gif", "a-mask-frame2.gif", "a-mask-frame3.gif", "a.gif"]


def test_through_the_command(deform, install_plugin, tmp_path):
    source = """
        import deformcli
        from deformcli import options

        @deformcli.hookimpl
        def register_commands(app):
            app.command()(same)

        @options.spread
        def same(files: options.BatchOptions):
            from deformcli.batch import FunctionJob, run
            run(files, FunctionJob(list))
    """
    variables = {"PYTHONPATH": install_plugin("same", source), "DEFORM_LOAD_PLUGINS": "same"}
    folder = tmp_path / "cwd" / "in"
    folder.mkdir()
    first, *more = [Image.new("RGB", (6, 4), colour) for colour in COLOURS]
    first.save(folder / "a.gif", save_all=True, append_images=more, duration=[100, 200, 350])
    Image.effect_noise((256, 256), 60).save(folder / "b.jpg")
    (folder / "b.jpg").write_bytes((folder / "b.jpg").read_bytes()[:9000])
    (folder / "c.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    (tmp_path / "none" / "pillow_heif").mkdir(parents=True)
    (tmp_path / "none" / "pillow_heif" / "__init__.py").write_text("raise ImportError\n")
    without = variables | {"PYTHONPATH": f"{tmp_path / 'none'}:{variables['PYTHONPATH']}"}

    ended = deform("same", "in", "-o", "out", "--frame", "all", "--truncated", "keep", "--json", **without)
    assert ended.returncode == 0, ended.stderr
    assert "skipped: in/c.heic is HEIC" in ended.stderr and "pip install 'deformcli[heic]'" in ended.stderr
    assert "note: in/b.jpg: it is cut off" in ended.stderr
    assert [item["status"] for item in json.loads(ended.stdout)] == ["done", "done", "skipped"]
    assert told(tmp_path / "cwd" / "out" / "a.gif") == list(zip([100, 200, 350], COLOURS, strict=True))

    ended = deform("same", "in/c.heic", "-o", "c.png", **without)
    assert ended.returncode == 2 and ended.stderr.count("\n") == 2 and "deformcli[heic]" in ended.stderr
    ended = deform("same", "in/b.jpg", "-o", "b.png", **variables)
    assert ended.returncode == 2 and "--truncated keep" in ended.stderr
    for wrong in ("0", "-1", "some"):
        ended = deform("same", "in/a.gif", "-o", "b.gif", f"--frame={wrong}", **variables)
        assert ended.returncode == 2 and "neither a number from 1 nor all" in ended.stderr
    ended = deform("same", "in/a.gif", "-o", "b.gif", "--frame", "2", **variables)
    assert ended.returncode == 2 and "'.gif'" in ended.stderr
    assert deform("same", "in/a.gif", "-o", "b.png", "--frame", "2", **variables).returncode == 0
    assert told(tmp_path / "cwd" / "b.png") == [(None, COLOURS[1])]
