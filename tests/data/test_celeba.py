"""CelebA in each of its layouts, with the official split and the thesis's."""

from __future__ import annotations

import pickle
from zipfile import ZipFile

import numpy as np
import pytest
from torch.utils.data import DataLoader

from deformcli.data.celeba import open_celeba
from deformcli.data.masked import MaskedPictures
from deformcli.data.sources import Source
from deformcli.errors import UsageError

TRAIN, VALIDATION, TEST = (range(1, 5), range(162_771, 162_773), range(202_597, 202_600))
NAMES = [f"{number:06d}.jpg" for numbers in (TRAIN, VALIDATION, TEST) for number in numbers]


@pytest.fixture
def celeba(tmp_path, make_picture):
    """The torchvision layout; the first and the last picture show the same person."""
    folder = tmp_path / "celeba"
    for seed, name in enumerate(NAMES):
        make_picture(folder / "img_align_celeba" / name, 218, 178, seed)
    partition = {"list_eval_partition.txt": [0] * 4 + [1] * 2 + [2] * 3, "identity_CelebA.txt": [*range(8), 0]}
    for name, values in partition.items():
        lines = (f"{picture} {value}\n" for picture, value in zip(NAMES, values, strict=True))
        (folder / name).write_text("".join(lines))
    return tmp_path


def zipped(celeba):
    """The zip as it comes, instead of its pictures."""
    pictures = celeba / "celeba/img_align_celeba"
    with ZipFile(celeba / "celeba/img_align_celeba.zip", "w") as archive:
        for path in sorted(pictures.iterdir()):
            archive.write(path, f"img_align_celeba/{path.name}")
            path.unlink()
    pictures.rmdir()


def read_all(root, split, **options):
    """The numbers in the names of the pictures, which can all be read."""
    pictures = open_celeba(str(root), split, **options)
    assert {pictures.read(index).shape for index in range(len(pictures))} == {(218, 178, 3)}
    return [int(pictures.name(index)[-10:-4]) for index in range(len(pictures))]


@pytest.mark.parametrize("root", ["", "celeba", "celeba/img_align_celeba"])
def test_official_split_of_every_folder(celeba, root):
    assert read_all(celeba / root, "train") == list(TRAIN)
    assert read_all(celeba / root, "validation") == list(VALIDATION)
    assert read_all(celeba / root, "test") == list(TEST)


@pytest.mark.parametrize("root", ["", "celeba", "celeba/img_align_celeba.zip"])
def test_the_zip_is_read_without_unpacking(celeba, root):
    before = open_celeba(str(celeba), "test").read(1)
    zipped(celeba)
    assert read_all(celeba / root, "train") == list(TRAIN)
    assert (open_celeba(str(celeba / root), "test").read(1) == before).all()
    assert len(list(celeba.rglob("*.jpg"))) == 0


def test_the_partition_file_decides_where_it_is(celeba):
    (celeba / "celeba/list_eval_partition.txt").write_text("000001.jpg 2\n000002.jpg 0\n")
    assert 1 in read_all(celeba, "test")
    (celeba / "celeba/list_eval_partition.txt").unlink()
    assert read_all(celeba, "train") == list(TRAIN)  # by number, as published
    assert read_all(celeba, "validation") == list(VALIDATION)


def test_thesis_split_tests_on_30_and_keeps_people_together(tmp_path, monkeypatch):
    names = [f"{number:06d}.jpg" for number in range(1, 2001)]
    monkeypatch.setattr("deformcli.data.celeba._find", lambda root: (tmp_path, names))
    (tmp_path / "identity_CelebA.txt").write_text("".join(f"{name} {n % 500}\n" for n, name in enumerate(names)))
    for expected_people in (500, 0):
        parts = [open_celeba(str(tmp_path), split, protocol="thesis") for split in ("train", "validation", "test")]
        assert [len(part) / 2000 for part in parts] == pytest.approx([0.6, 0.1, 0.3], abs=0.04)
        assert sum(map(len, parts)) == 2000
        people = [{part.identity(index) for index in range(len(part))} - {""} for part in parts]
        assert sum(map(len, people)) == len(set().union(*people)) == expected_people
        (tmp_path / "identity_CelebA.txt").unlink(missing_ok=True)


def test_pictures_of_a_zip_reach_other_processes(celeba):
    zipped(celeba)
    pictures = open_celeba(str(celeba), "train")
    first = pictures.read(0)
    assert (pickle.loads(pickle.dumps(pictures)).read(0) == first).all()  # noqa: S301 - as processes are started
    data = MaskedPictures([Source("celeba", pictures)], 32, ["strokes"], "test", 0)
    batches = list(DataLoader(data, batch_size=2, num_workers=2))
    assert sum(len(batch["image"]) for batch in batches) == len(data) == 8
    assert all(np.isfinite(batch["image"].numpy()).all() for batch in batches)


def test_a_damaged_member_is_named(celeba):
    zipped(celeba)
    path = celeba / "celeba/img_align_celeba.zip"
    data = bytearray(path.read_bytes())
    at = data.index(b"000002.jpg") + 200
    data[at : at + 40] = bytes(40)
    path.write_bytes(data)
    with pytest.raises(UsageError, match=r"000002\.jpg cannot be read"):
        open_celeba(str(celeba), "train").read(1)
    path.write_bytes(data[:1000])
    with pytest.raises(UsageError, match="cannot be opened"):
        open_celeba(str(celeba), "train")


def test_what_is_no_celeba(tmp_path, celeba):
    with pytest.raises(UsageError, match="no protocol 'best'"):
        open_celeba(str(celeba), "train", protocol="best")
    (tmp_path / "empty").mkdir()
    for root in ("nowhere", "empty"):
        with pytest.raises(UsageError, match="no CelebA there") as caught:
            open_celeba(str(tmp_path / root), "train")
        assert "mmlab.ie.cuhk.edu.hk" in caught.value.remedy
        assert "non-commercial" in caught.value.remedy
