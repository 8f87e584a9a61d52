"""Folders of pictures as items: what is in them, who decides, and files that are none."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from deformcli.data.folder import MaskedFolder, image_files, read_rgb
from deformcli.errors import UsageError

KINDS = ("thin", "thick")


@pytest.fixture
def folder(tmp_path, names, make_picture):
    """Four pictures of each split, of several shapes, one as JPEG, one in a folder below, beside other files."""
    for split in ("train", "test"):
        for seed, name in enumerate(names[split]):
            make_picture(tmp_path / "data" / name, 40 + 10 * seed, 70, seed)
    (tmp_path / "data/below").mkdir()
    (tmp_path / "data" / names["train"][0]).rename(tmp_path / "data/below" / names["train"][0])
    (tmp_path / "data/notes.txt").write_text("no picture")
    return tmp_path / "data"


def test_splits_share_out_all_pictures(folder, names):
    found = {split: [path.name for path in image_files(folder, split)] for split in names}
    assert {split: sorted(files) for split, files in found.items()} == names
    assert image_files(folder, "train") == sorted(image_files(folder, "train"))


@pytest.mark.parametrize("name", ["._x.png", ".x.jpg"])
def test_hidden_files_are_no_data(folder, name):
    before = image_files(folder, "train"), image_files(folder, "test")
    (folder / name).write_bytes(b"what a file manager leaves behind")
    assert (image_files(folder, "train"), image_files(folder, "test")) == before


def test_no_data(tmp_path, names, make_picture):
    with pytest.raises(UsageError, match="no such data folder"):
        image_files(tmp_path / "nowhere", "train")
    with pytest.raises(UsageError, match="no picture for the train split"):
        image_files(tmp_path, "train")
    make_picture(tmp_path / names["train"][0])
    with pytest.raises(UsageError, match="no picture for the test split"):
        image_files(tmp_path, "test")


def test_reads_png_and_jpeg(tmp_path, make_picture):
    picture = make_picture(tmp_path / "a.png")
    assert (read_rgb(tmp_path / "a.png") == picture).all()
    jpeg = read_rgb(tmp_path / "b.jpg") if make_picture(tmp_path / "b.jpg") is not None else None
    assert np.abs(jpeg.astype(int) - picture).mean() < 4


def test_reads_grey_alpha_and_turned_files_as_upright_rgb(tmp_path):
    grey = np.arange(60, dtype=np.uint8).reshape(6, 10)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    assert (read_rgb(tmp_path / "grey.png") == grey[..., None]).all()
    Image.fromarray(np.dstack([grey] * 4)).save(tmp_path / "alpha.png")
    assert read_rgb(tmp_path / "alpha.png").shape == (6, 10, 3)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    Image.fromarray(np.dstack([grey] * 3)).save(tmp_path / "turned.jpg", exif=exif)
    assert read_rgb(tmp_path / "turned.jpg").shape == (10, 6, 3)


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n"])
def test_undecodable_file_is_named(tmp_path, names, content):
    bad = tmp_path / names["train"][0]
    bad.write_bytes(content)
    with pytest.raises(UsageError, match=bad.name):
        read_rgb(bad)
    with pytest.raises(UsageError, match=bad.name):
        MaskedFolder([tmp_path], 32, KINDS, "train", 0, 1)[0]


def test_missing_file_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"gone\.png"):
        read_rgb(tmp_path / "gone.png")


@pytest.mark.parametrize("split", ["train", "test"])
def test_item(folder, split):
    data = MaskedFolder([folder], 32, KINDS, split, 0)
    assert len(data) == 8  # 4 pictures, 2 kinds
    for item in (data[index] for index in range(len(data))):
        assert item["image"].shape == (3, 32, 32)
        assert item["image"].dtype == item["known"].dtype == torch.float32
        assert -1 <= item["image"].min() < item["image"].max() <= 1
        assert item["known"].shape == (1, 32, 32)
        assert set(item["known"].unique().tolist()) == {0, 1}
        assert int(item["kind"]) in (0, 1)


@pytest.mark.parametrize("split", ["train", "test"])
def test_seed_and_index_alone_decide_an_item(folder, split):
    def items(seed: int, order: list[int]) -> dict[int, dict[str, torch.Tensor]]:
        data = MaskedFolder([folder], 32, KINDS, split, seed, 6)
        return {index: data[index] for index in order}

    first, again, other = items(3, [0, 1, 2, 5]), items(3, [5, 2, 0, 1]), items(4, [0, 1, 2, 5])
    for index, item in first.items():
        assert all(torch.equal(value, again[index][key]) for key, value in item.items())
    assert any(not torch.equal(first[index]["known"], other[index]["known"]) for index in first)


def test_test_split_takes_every_picture_whole_with_every_kind(folder, names, make_picture):
    data = MaskedFolder([folder], 32, KINDS, "test", 0)
    assert [int(data[index]["kind"]) for index in range(4)] == [0, 1, 0, 1]
    assert torch.equal(data[0]["image"], data[1]["image"])
    square = read_rgb(folder / names["test"][0])[:, 15:55]  # 40 x 70, its middle
    whole = cv2.resize(square, (32, 32), interpolation=cv2.INTER_AREA)
    assert torch.equal(data[0]["image"], torch.from_numpy(whole).permute(2, 0, 1).float() / 127.5 - 1)


def test_training_split_varies_crops_and_goes_on_beyond_the_pictures(folder):
    data = MaskedFolder([folder], 32, KINDS, "train", 0, 1000)
    images = {tuple(data[index]["image"].flatten()[:64].tolist()) for index in range(30)}
    assert len(data) == 1000
    assert len(images) > 25
    assert {int(data[index]["kind"]) for index in range(30)} == {0, 1}


def test_several_folders_count_as_one(folder, tmp_path, names, make_picture):
    make_picture(tmp_path / "more" / names["test"][0], seed=9)
    data = MaskedFolder([folder, tmp_path / "more"], 32, KINDS, "test", 0)
    assert len(data.files) == 5
