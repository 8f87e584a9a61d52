"""`deform data check`: counts, people, sizes, what cannot be read, and a sheet to look at."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from deformcli import registry
from deformcli.cli import main
from deformcli.images import read_image


@pytest.fixture
def check(tmp_path, monkeypatch, capfd):
    """`check(...)` runs the command in this process, in an empty folder: its exit code, stdout and stderr."""
    monkeypatch.setenv("DEFORM_LOAD_PLUGINS", "")
    monkeypatch.chdir(tmp_path)
    registry.plugins.cache_clear()

    def run(*args: str) -> tuple[int, str, str]:
        return main(["data", "check", *args]), *capfd.readouterr()

    yield run
    registry.plugins.cache_clear()


@pytest.fixture
def folder(tmp_path, names, make_picture):
    """Four pictures of each split, of two sizes."""
    for split in ("train", "test"):
        for seed, name in enumerate(names[split]):
            make_picture(tmp_path / "data" / name, 40, 30 + 20 * (seed == 3), seed)
    return tmp_path / "data"


@pytest.fixture
def faces(tmp_path, make_picture):
    """Three people of Multi-PIE, one of them held out, from two sides and the front."""
    for subject in ("001", "002", "003"):
        for camera in ("110", "051", "240"):
            make_picture(tmp_path / f"faces/{subject}_01_01_{camera}_00.png", 32, 32, int(subject + camera))


def test_counts_and_sizes(check, folder):
    code, out, err = check("data")
    assert (code, err) == (0, "")
    assert out.splitlines() == [f"data {split}: 4 pictures; 30 x 40 (3), 50 x 40 (1)" for split in ("train", "test")]


def test_a_kind_alone(check, faces, tmp_path):
    (tmp_path / "faces").rename(tmp_path / "multipie")
    code, out, err = check("multipie")
    assert (code, err) == (0, "--data multipie: found multipie:multipie\n")
    assert out.startswith("multipie:multipie train: 6 pictures, 6 pairs, 2 identities")
    code, out, err = check("london")
    assert (code, out) == (2, "")
    assert "(looked for in london, data/london)\n  fix: get the Face Research Lab London Set" in err


def test_people_and_pairs(check, folder, faces):
    code, out, _ = check("folder:data", "multipie:faces?protocol=subjects", "--json")
    assert code == 0
    found = [(one["spec"], one["split"], one["pictures"], one["pairs"], one["identities"]) for one in json.loads(out)]
    assert found == [
        ("folder:data", "train", 4, None, 0),
        ("folder:data", "test", 4, None, 0),
        ("multipie:faces?protocol=subjects", "train", 6, 6, 2),
        ("multipie:faces?protocol=subjects", "test", 3, 3, 1),
    ]


def test_unreadable_pictures_are_named(check, folder, names):
    bad = [folder / names["train"][1], folder / names["test"][0]]
    for path in bad:
        path.write_bytes(path.read_bytes()[:60])
    code, out, err = check("folder:data")
    assert code == 3
    assert "2 pictures cannot be read" in err
    assert all(f"  data/{path.name} is damaged" in out for path in bad)
    assert out.splitlines()[0].endswith("4 pictures; 30 x 40 (2), 50 x 40 (1)")
    code, out, _ = check("folder:data", "--json")
    assert [len(one["unreadable"]) for one in json.loads(out)] == [1, 1]


def test_contact_sheet_shows_pictures_and_pairs(check, folder, faces, names):
    assert check("folder:data", "multipie:faces", "--sheet", "out/sheet.png")[0] == 0
    sheet = read_image("out/sheet.png").rgb
    assert sheet.shape == (132 + 132 + 260 + 260, 12 * 128, 3)
    first = cv2.cvtColor(cv2.imread(str(folder / names["train"][0])), cv2.COLOR_BGR2RGB)[5:35]
    shown = cv2.resize(first, (128, 128), interpolation=cv2.INTER_AREA)
    assert (sheet[:128, :128] == shown).all()
    assert (sheet[:128, 4 * 128 :] == 255).all()
    turned, frontal = sheet[264:392, :128], sheet[392:520, 128:256]
    assert np.ptp(turned) > 50 and np.ptp(frontal) > 50


def test_an_empty_split_is_left_out_and_no_data_are_refused(check, folder, names):
    for name in names["test"]:
        (folder / name).unlink()
    code, out, _ = check("folder:data")
    assert (code, len(out.splitlines())) == (0, 1)
    code, out, err = check("celeba:nowhere")
    assert (code, out) == (2, "")
    assert "no CelebA there" in err
    assert "non-commercial" in err.splitlines()[1]


def test_people_in_both_splits_are_an_error(check, folder, monkeypatch):
    from deformcli.data.files import Files

    monkeypatch.setattr(Files, "identity", lambda self, index: "somebody")
    code, _, err = check("folder:data")
    assert code == 1
    assert "1 people are in both splits" in err
