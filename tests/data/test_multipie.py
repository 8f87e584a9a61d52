"""Multi-PIE whole and cropped: pairs of one moment, 13 angles, and people on one side of a split alone."""

from __future__ import annotations

import pytest

from deformcli.data.masked import MaskedPictures
from deformcli.data.multipie import CAMERAS, YAWS, MultiPie
from deformcli.data.pairs import FacePairs
from deformcli.data.sources import Source
from deformcli.data.splits import SPLITS, split_in_tenths
from deformcli.errors import UsageError

TRAIN, TEST = ("002", "003", "201"), ("001", "011")  # the protocol "subjects" tests on those, and validates on 008


@pytest.fixture
def write(tmp_path, make_picture):
    """`write("whole", subject, session, recording, camera, light)`: one picture in the layout "whole" or "flat"."""

    def make(layout, subject, session="01", recording="01", camera="051", light="00", height=16):
        name = f"{subject}_{session}_{recording}_{camera}_{light}"
        folders = f"session{session}/multiview/{subject}/{recording}/{camera[:2]}_{camera[2]}"
        path = {"whole": f"{folders}/{name}.png", "flat": f"{name}_crop_128.png"}[layout]
        return make_picture(tmp_path / layout / path, height, 20, int(subject) * 1000 + int(camera))

    return make


@pytest.mark.parametrize("layout", ["whole", "flat"])
def test_every_camera_is_paired_with_the_frontal_one_of_its_moment(write, tmp_path, layout):
    for subject in TRAIN[:2]:
        for session, recording, light in (("01", "01", "00"), ("01", "01", "07"), ("02", "03", "00")):
            for camera in [*CAMERAS, "081", "191"]:  # those two hang above and are left out
                write(layout, subject, session, recording, camera, light)
    data = MultiPie(str(tmp_path / layout), "train")
    assert len(data) == 2 * 3 * 13
    names = data.pictures.paths
    for image, target in data.pairs:
        assert names[target].name[:16] == names[image].name[:10] + "051" + names[image].name[13:16]
    yaws = sorted({data.pair(index, 16, None).yaw for index in range(len(data))})
    assert yaws == [15.0 * step for step in range(-6, 7)]
    assert (YAWS["110"], YAWS["051"], YAWS["240"]) == (-90, 0, 90)


def test_pictures_without_their_frontal_one_make_no_pair(write, tmp_path):
    for camera in ("051", "110"):
        write("flat", "002", camera=camera)
    write("flat", "002", camera="240", light="05")
    data = MultiPie(str(tmp_path / "flat"), "train")
    assert len(data) == 2
    assert len(MaskedPictures([Source("", data)], 16, ["strokes:thin"], "test", 0)) == 3


def test_items(write, tmp_path):
    for camera in CAMERAS:
        write("flat", "002", camera=camera)
    item = FacePairs([Source("multipie", MultiPie(str(tmp_path / "flat"), "train"))], 32, "test", 0)[0]
    assert item["image"].shape == item["target"].shape == (3, 32, 32)
    assert (item["exact"], item["flow"].abs().max(), item["seen"].max()) == (0, 0, 0)
    assert item["face"].min() == item["target_known"].min() == 1
    assert not (item["image"] == item["target"]).all()


def test_training_leaves_out_wider_angles(write, tmp_path):
    for camera in CAMERAS:
        write("flat", "002", camera=camera)
    source = Source("multipie", MultiPie(str(tmp_path / "flat"), "train"))
    data = FacePairs([source], 16, "train", 0, 100, max_yaw=40)
    assert {abs(float(data[index]["yaw"])) for index in range(100)} == {0, 15, 30}
    with pytest.raises(UsageError, match="nothing is turned by -1 degrees"):
        FacePairs([source], 16, "train", 0, max_yaw=-1)


def test_subjects_are_in_one_split_alone(write, tmp_path):
    for subject in (*TRAIN, *TEST, "008", "018"):
        for session in ("01", "02"):
            for camera in ("051", "110"):
                write("flat", subject, session=session, camera=camera)
    for protocol, validation, test in (("subjects", "008", (*TEST, "018")), ("setting-2", "018", ("201",))):
        sides = [MultiPie(str(tmp_path / "flat"), split, protocol=protocol) for split in SPLITS]
        people = [{side.identity(index) for index in range(len(side))} for side in sides]
        assert people[1:] == [{validation}, set(test)]
        assert people[0] == {*TRAIN, *TEST, "008", "018"} - {validation, *test}
        paths = [path for side in sides for path in side.pictures.paths]
        assert len(paths) == len(set(paths))


def test_a_fifth_of_all_subjects_is_held_out():
    held_out = sum(split_in_tenths(f"{subject:03d}", 2) == "test" for subject in range(1, 347))
    assert held_out / 346 == pytest.approx(0.2, abs=0.02)


def test_setting_2_is_neutral_and_of_eleven_angles_in_training(write, tmp_path):
    for subject in ("002", "201"):
        for recording in ("01", "02"):
            for camera in CAMERAS:
                write("flat", subject, recording=recording, camera=camera)
    train, test = (MultiPie(str(tmp_path / "flat"), split, protocol="setting-2") for split in ("train", "test"))
    assert (len(train), len(test)) == (11, 13)
    assert all(path.name[7:9] == "01" for data in (train, test) for path in data.pictures.paths)


def test_what_is_no_multipie(write, tmp_path):
    with pytest.raises(UsageError, match="no picture of Multi-PIE") as caught:
        MultiPie(str(tmp_path / "nowhere"), "train")
    assert "multipie.org" in caught.value.remedy
    write("flat", "002", camera="110")
    with pytest.raises(UsageError, match="with its frontal one for the train split"):
        MultiPie(str(tmp_path / "flat"), "train")
    with pytest.raises(UsageError, match="no protocol 'all'"):
        MultiPie(str(tmp_path / "flat"), "train", protocol="all")
