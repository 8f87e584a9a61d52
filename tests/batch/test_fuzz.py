"""Broken files through the tool: each is refused by name, nothing else happens. `make fuzz` takes the whole corpus."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from deformcli.errors import UsageError
from deformcli.images import Picture, decode_image, pillow_limits

NEGATIVE = """
    import deformcli
    from deformcli import options

    @deformcli.hookimpl
    def register_commands(app):
        app.command()(negative)

    @options.spread
    def negative(files: options.BatchOptions):
        from deformcli.batch import FunctionJob, run
        run(files, FunctionJob(lambda pictures: [one.replaced(one.rgb.max() - one.rgb) for one in pictures]))
"""


def _corpus():
    specification = importlib.util.spec_from_file_location("corpus", Path(__file__).with_name("corpus.py"))
    module = importlib.util.module_from_spec(specification)
    sys.modules["corpus"] = module
    specification.loader.exec_module(module)
    return module


CORPUS = _corpus()
WHOLE = CORPUS.whole_files()


@pytest.mark.parametrize("every", [8, pytest.param(1, marks=pytest.mark.slow)])
def test_broken_files_through_the_command(deform, install_plugin, tmp_path, every):
    folder, out = tmp_path / "cwd" / "in", tmp_path / "cwd" / "out"
    folder.mkdir()
    files = list(CORPUS.broken_files())
    assert len(files) >= 2000
    for name, data in files[::every]:
        (folder / name).write_bytes(data)
    path = install_plugin("negative", NEGATIVE)
    variables = {"PYTHONPATH": path, "DEFORM_LOAD_PLUGINS": "negative"}
    ended = deform("negative", "in", "-o", "out", "--report", "r.jsonl", timeout=600, **variables)

    assert ended.returncode == 3 and ended.stdout == ""
    assert "Traceback" not in ended.stderr and "unexpected" not in ended.stderr
    lines = [json.loads(line) for line in (tmp_path / "cwd" / "r.jsonl").read_text().splitlines()]
    items, summary = lines[:-1], lines[-1]["summary"]
    assert sorted(item["source"] for item in items) == sorted(f"in/{name}" for name, _ in files[::every])
    assert summary["exit_code"] == 3 and summary["done"] + summary["failed"] == len(items)
    made = {item["target"] for item in items if item["status"] == "done"}
    assert {f"out/{file.name}" for file in out.iterdir()} == made
    for item in items:
        if item["status"] == "done":  # a turned bit may leave a whole picture
            decode_image((tmp_path / "cwd" / item["target"]).read_bytes(), item["target"])
        else:
            assert item["exit_code"] == 2 and item["remedy"] and item["source"] in item["error"]


def edits(name: str) -> st.SearchStrategy[tuple[str, list[tuple[int, int, bytes]]]]:
    """Up to four places of a file where some bytes become some others."""
    place = st.integers(0, len(WHOLE[name]) - 1)
    return st.tuples(st.just(name), st.lists(st.tuples(place, st.integers(0, 8), st.binary(max_size=8)), max_size=4))


def check_decoding(edited: tuple[str, list[tuple[int, int, bytes]]]) -> None:
    name, places = edited
    data = WHOLE[name]
    for start, length, new in places:
        data = data[:start] + new + data[start + length :]
    with pillow_limits(1_000_000):
        try:
            picture = decode_image(data, name, max_pixels=1_000_000)
        except UsageError as error:
            assert name in error.cause and error.remedy
        else:
            assert isinstance(picture, Picture) and picture.rgb.shape[2] == 3


some_edits = st.sampled_from(sorted(WHOLE)).flatmap(edits)


@settings(max_examples=200, deadline=None)
@given(some_edits)
def test_edited_file_is_a_picture_or_refused(edited):
    check_decoding(edited)


@pytest.mark.slow
@settings(max_examples=5000, deadline=None)
@given(some_edits)
def test_many_edited_files_are_pictures_or_refused(edited):
    check_decoding(edited)
