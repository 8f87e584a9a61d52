"""Stored pairs: what is written comes back, by whole people, and damage is named."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from deformcli.data.pairs import FacePairs
from deformcli.data.rendered import INDEX, RenderedPairs, Sample, person_file, write_index, write_person
from deformcli.data.spec import open_source
from deformcli.data.splits import SPLITS, split_of
from deformcli.errors import UsageError

SIZE = 32


def make_sample(number: int, yaw: float) -> Sample:
    rng = np.random.default_rng(number)
    picture = rng.integers(0, 256, (2, SIZE, SIZE, 3), dtype=np.uint8)
    flow = rng.normal(0, 4, (2, SIZE, SIZE)).astype(np.float16)
    return Sample(*picture, flow, rng.random((SIZE, SIZE)) < 0.7, rng.random((SIZE, SIZE)), {"yaw": yaw})


@pytest.fixture
def root(tmp_path):
    for person in range(20):
        write_person(tmp_path, f"p{person:02d}", [make_sample(10 * person + view, 40.0 * view) for view in range(3)])
    assert write_index(tmp_path) == 60
    return tmp_path


def test_what_is_written_comes_back(root):
    data = RenderedPairs(str(root), "train")
    sample = make_sample(10 * int(data.samples[1][1][1:3]) + 1, 40.0)
    pair = data.pair(1, SIZE, None)
    assert torch.equal(((pair.image + 1) * 127.5).round().byte().permute(1, 2, 0), torch.from_numpy(sample.image))
    assert torch.equal(((pair.target + 1) * 127.5).round().byte().permute(1, 2, 0), torch.from_numpy(sample.target))
    assert np.array_equal(pair.flow.numpy().astype(np.float16), sample.flow)
    assert np.array_equal(pair.seen[0].numpy() > 0, sample.seen)
    assert np.abs(pair.face[0].numpy() - sample.face).max() < 1 / 255
    assert pair.yaw == 40.0


def test_every_person_is_in_one_split(root):
    people = {split: {path.stem for path, *_ in RenderedPairs(str(root), split).samples} for split in SPLITS}
    assert all(people.values())
    assert all(split_of(one) == split for split, some in people.items() for one in some)
    assert sum(map(len, people.values())) == 20


def test_a_person_in_two_folders_of_photos_is_one(tmp_path):
    for person in range(20):
        for folder in ("neutral", "smiling"):
            write_person(tmp_path, f"{folder}+{person:03d}_03.jpg", [make_sample(person, 5.0)])
    write_index(tmp_path)
    both = [RenderedPairs(str(tmp_path), split) for split in ("train", "test")]
    people = [{data.identity(index) for index in range(len(data))} for data in both]
    assert people[1] and not people[0] & people[1]
    assert [len(data) for data in both] == [2 * len(names) for names in people]


def test_training_leaves_out_far_turns_and_shares_its_items(root):
    source = open_source(f"rendered:{root}?share=0.25", "train")
    assert source.share == 0.25
    item = FacePairs([source], SIZE, "train", 0, 10, max_yaw=50)[3]
    assert {yaw for *_, yaw in source.data.samples} == {0.0, 40.0}
    assert (item["image"].shape, item["flow"].shape, item["seen"].shape) == ((3, 32, 32), (2, 32, 32), (1, 32, 32))
    assert item["exact"] == 1


def test_half_the_size_has_half_the_flow(root):
    data = RenderedPairs(str(root), "test")
    whole, half = data.pair(0, SIZE, None), data.pair(0, SIZE // 2, None)
    assert torch.equal(half.flow, whole.flow[:, 1::2, 1::2] / 2)
    assert torch.equal(half.seen, whole.seen[:, 1::2, 1::2])
    assert torch.allclose(half.image, torch.nn.functional.avg_pool2d(whole.image, 2), atol=1e-6)


def test_pictures_are_the_frontal_ones_one_a_person(root):
    data = RenderedPairs(str(root), "test")
    pictures = data.pictures
    assert len(pictures) == len({path for path, *_ in data.samples})
    assert pictures.read(0).shape == (SIZE, SIZE, 3)
    assert pictures.identity(0) in pictures.name(0)


def test_a_person_that_is_written_again_is_whole(root):
    write_person(root, "p00", [make_sample(1, 5.0)])
    assert write_index(root) == 58
    assert [path.name for path in (root / "people").iterdir() if path.suffix != ".tar"] == []


@pytest.mark.parametrize("part", ["image.png", "flow.npy", "seen.png"])
def test_a_damaged_part_is_named(root, part):
    path, key, _ = RenderedPairs(str(root), "train").samples[0]
    data = path.read_bytes()
    where = data.index(f"{key}.{part}".encode())
    path.write_bytes(data[: where + 512] + bytes(200) + data[where + 712 :])
    with pytest.raises(UsageError, match=rf"{key}\.{part}"):
        RenderedPairs(str(root), "train").pair(0, SIZE, None)


def test_what_is_no_set(root):
    with pytest.raises(UsageError, match=r"no index\.jsonl"):
        RenderedPairs(str(root / "people"), "train")
    person_file(root, json.loads((root / INDEX).read_text().splitlines()[0])["identity"]).write_bytes(b"no tar")
    with pytest.raises(UsageError, match="cannot be read"):
        RenderedPairs(str(root), split_of("p00")).pair(0, SIZE, None)
    for line in ('{"identity": "../p", "key": "a", "yaw": 1}\n', "[]\n", "no json\n"):
        (root / INDEX).write_text(line)
        with pytest.raises(UsageError, match=INDEX):
            RenderedPairs(str(root), "train")
    (root / INDEX).write_text("")
    with pytest.raises(UsageError, match="no pair for the train split"):
        RenderedPairs(str(root), "train")
