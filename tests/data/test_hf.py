"""Data sets through the `datasets` library, from folders of this machine: no network."""

from __future__ import annotations

import subprocess
import sys

import pytest

from deformcli.data.hf import open_hf
from deformcli.data.splits import SPLITS
from deformcli.errors import UsageError

pytest.importorskip("datasets", reason="needs the extra deformcli[hf]")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()


def test_the_data_sets_own_split(tmp_path, make_picture):
    pixels = {}
    for split, count in (("train", 3), ("test", 2)):
        for number in range(count):
            name = f"{split}/{number}.png"
            pixels[name] = make_picture(tmp_path / "set" / name, seed=len(pixels))
    for split, count in (("train", 3), ("test", 2)):
        pictures = open_hf(f"{tmp_path}/set", split)
        assert len(pictures) == count
        assert all((pictures.read(number) == pixels[f"{split}/{number}.png"]).all() for number in range(count))
        assert pictures.name(1) == f"hf:{tmp_path}/set[1]"


def test_rows_are_held_out_where_there_is_no_test_split(tmp_path, make_picture):
    for number in range(30):
        make_picture(tmp_path / f"set/{number:02d}.png", 8, 8, number)
    rows = {split: open_hf(f"{tmp_path}/set", split).rows for split in SPLITS}
    assert sorted(row for some in rows.values() for row in some) == list(range(30))
    assert len(rows["test"]) == 3 and rows["validation"]


@pytest.mark.parametrize("own", [("test",), ("validation",), ("test", "validation")])
def test_what_the_data_set_does_not_have_is_taken_from_its_training_rows(tmp_path, make_picture, own):
    for split in ("train", *own):
        for number in range(20):
            make_picture(tmp_path / f"set/{split}/{number:02d}.png", 8, 8, number)
    found = {split: open_hf(f"{tmp_path}/set", split) for split in SPLITS}
    assert len(found["test"]) == 20, "its own, be it called validation"
    both = found["train"].rows + found["validation"].rows
    assert sorted(both) == sorted(list(range(20)) * len(own))
    assert found["validation"].rows


def test_tables_without_pictures_are_refused(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set/table.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UsageError, match="no column of pictures") as caught:
        open_hf(f"{tmp_path}/set", "train")
    assert "a, b" in caught.value.remedy


def test_what_cannot_be_fetched_is_said_in_two_lines(deform, tmp_path):
    ended = deform(
        "train", "inpaint", "--data", "hf:nobody/nothing@main",
        DEFORM_LOAD_PLUGINS="inpaint,train", HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path / "hf"),
    )  # fmt: skip
    assert ended.returncode == 2
    assert "hf:nobody/nothing@main cannot be opened" in ended.stderr
    assert "HF_HUB_OFFLINE" in ended.stderr.splitlines()[-1]


def test_without_the_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UsageError, match="`datasets` is not installed") as caught:
        open_hf("org/name", "train")
    assert "pip install" in caught.value.remedy


def test_the_library_is_imported_for_no_other_data():
    code = "import sys, deformcli.data.spec, deformcli.data.hf; assert 'datasets' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
