"""Pictures with holes as items: what is in them, and who decides."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from deformcli.data.files import read_picture
from deformcli.data.loading import InOrder
from deformcli.data.masked import MaskedPictures
from deformcli.data.sources import Pairs, Source, number_of
from deformcli.data.spec import open_source
from deformcli.errors import UsageError

KINDS = ("strokes",)


@pytest.fixture
def folder(tmp_path, names, make_picture):
    """Four pictures of each split, of several shapes."""
    for split in ("train", "test"):
        for seed, name in enumerate(names[split]):
            make_picture(tmp_path / "data" / name, 40 + 10 * seed, 70, seed)
    return tmp_path / "data"


def masked(folders, split: str, seed: int = 0, length: int = 0) -> MaskedPictures:
    sources = [open_source(f"folder:{folder}", split) for folder in folders]
    return MaskedPictures(sources, 32, KINDS, split, seed, length)


@pytest.mark.parametrize("split", ["train", "test"])
def test_item(folder, split):
    data = masked([folder], split)
    assert len(data) == 8  # 4 pictures, 2 kinds
    for item in (data[index] for index in range(len(data))):
        assert item["image"].shape == (3, 32, 32)
        assert item["image"].dtype == item["known"].dtype == torch.float32
        assert -1 <= item["image"].min() < item["image"].max() <= 1
        assert item["known"].shape == (1, 32, 32)
        assert set(item["known"].unique().tolist()) == {0, 1}
        assert (item["target_known"] == 1).all()
        assert int(item["kind"]) in (0, 1)


@pytest.mark.parametrize("split", ["train", "test"])
def test_seed_and_index_alone_decide_an_item(folder, split):
    def items(seed: int, order: list[int]) -> dict[int, dict[str, torch.Tensor]]:
        data = masked([folder], split, seed, 6)
        return {index: data[index] for index in order}

    first, again, other = items(3, [0, 1, 2, 5]), items(3, [5, 2, 0, 1]), items(4, [0, 1, 2, 5])
    for index, item in first.items():
        assert all(torch.equal(value, again[index][key]) for key, value in item.items())
    assert any(not torch.equal(first[index]["known"], other[index]["known"]) for index in first)


def test_what_stands_in_for_an_unreadable_picture_goes_by_its_own_name(folder, names):
    """In training alone: of the test split it is refused."""
    (folder / names["train"][1]).write_bytes(b"damaged")
    data = masked([folder], "train", 0, 40)
    people = {number_of(data.pictures.parts[0].name(index)) for index in range(4)}
    seen = {int(data[index]["person"]) for index in range(40)}
    assert seen == people - {number_of(str(folder / names["train"][1]))}
    (folder / names["test"][0]).write_bytes(b"damaged")
    with pytest.raises(UsageError, match=rf"{names['test'][0]} is not a picture"):
        masked([folder], "test")[0]
    there = InOrder(masked([folder], "test"), 3, workers=0)
    assert sum(len(batch["image"]) for batch in there) == 6
    assert sum(there.left_out.values()) == 2


def test_test_split_takes_every_picture_whole_with_every_kind(folder, names, make_picture):
    data = masked([folder], "test")
    assert [int(data[index]["kind"]) for index in range(4)] == [0, 1, 0, 1]
    assert torch.equal(data[0]["image"], data[1]["image"])
    square = read_picture(folder / names["test"][0])[:, 15:55]  # 40 x 70, its middle
    whole = cv2.resize(square, (32, 32), interpolation=cv2.INTER_AREA)
    assert torch.equal(data[0]["image"], torch.from_numpy(whole).permute(2, 0, 1).float() / 127.5 - 1)


def test_training_split_varies_crops_and_goes_on_beyond_the_pictures(folder):
    data = masked([folder], "train", 0, 1000)
    images = {tuple(data[index]["image"].flatten()[:64].tolist()) for index in range(30)}
    assert len(data) == 1000
    assert len(images) > 25
    assert {int(data[index]["kind"]) for index in range(30)} == {0, 1}


def test_several_folders_count_as_one(folder, tmp_path, names, make_picture):
    make_picture(tmp_path / "more" / names["test"][0], seed=9)
    data = masked([folder, tmp_path / "more"], "test")
    assert len(data) == 10


def test_transparent_pixels_are_unknown_and_never_a_target(tmp_path, names):
    pixels = np.full((32, 32, 4), 255, np.uint8)
    pixels[:, :8, 3] = 0
    Image.fromarray(pixels).save(tmp_path / names["test"][0])
    item = masked([tmp_path], "test")[0]
    assert (item["target_known"][..., :8] == 0).all()
    assert (item["target_known"][..., 8:] == 1).all()
    assert (item["known"] <= item["target_known"]).all()
    assert 0 < item["known"][..., 8:].mean() < 1


def test_pairs_serve_as_plain_pictures(folder):
    class Some(Pairs):
        pictures = open_source(f"folder:{folder}", "test").data

        def __len__(self):
            return 99

        def pair(self, index, size, rng):
            raise NotImplementedError

        def limit_yaw(self, most):
            raise NotImplementedError

    data = MaskedPictures([Source("some", Some())], 32, KINDS, "test", 0)
    assert len(data) == 8
    assert torch.equal(data[0]["image"], masked([folder], "test")[0]["image"])
