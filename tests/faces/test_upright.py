"""Photos that are turned by quarters."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from deformcli.data.files import read_picture
from deformcli.faces import AnyWayUp, Face, Mtcnn, crop, pasted, square_around
from deformcli.faces.detect import YuNet

from ..conftest import ROOT


@pytest.fixture(scope="session", params=["mtcnn", "yunet"])
def detector(request):
    if request.param == "mtcnn":
        return Mtcnn()
    return YuNet(request.getfixturevalue("shared") / "weights" / "yunet_n_640_640.onnx")


@pytest.mark.parametrize(
    ("name", "turn"), [("three-quarter.jpg", 90), ("astronaut.jpg", 180), ("three-quarter.jpg", 270)]
)
def test_a_turned_photo_gives_the_crop_of_the_upright_one(detector, name, turn):
    """And a paste puts it back as it lay."""
    photo = read_picture(ROOT / "examples" / name)
    turned = np.rot90(photo, -turn // 90)
    (upright, *_), (face, *_) = (AnyWayUp(detector).find(np.ascontiguousarray(one)) for one in (photo, turned))
    assert (face.turn, face.size, face.yaw) == (
        turn,
        pytest.approx(upright.size, rel=0.01),
        pytest.approx(upright.yaw, abs=1),
    )
    assert f"turned by {turn} degrees" in str(face)
    there, here = square_around(upright), square_around(face)
    cut = crop(photo, there)
    assert np.abs(crop(turned, here).astype(int) - cut).mean() < 0.5  # boxes differ by parts of a pixel
    back = np.rot90(pasted(turned, [here], [255 - cut]), turn // 90)
    assert np.abs(back.astype(int) - pasted(photo, [there], [255 - cut])).mean() < 0.5


class Counting:
    """A detector that says how often it looked."""

    def __init__(self, detector, faces=None) -> None:
        self.detector, self.faces, self.trust, self.looks = detector, faces, detector.trust, 0

    def find(self, rgb: np.ndarray) -> list[Face]:
        self.looks += 1
        return self.detector.find(rgb) if self.faces is None else self.faces[self.looks - 1]


def test_an_upright_photo_is_looked_at_once(detector, photo):
    counting = Counting(detector)
    (face, *_) = AnyWayUp(counting).find(photo)
    assert (counting.looks, face.turn) == (1, 0)


@pytest.mark.parametrize(
    ("scores", "turn"),
    [
        ((0.999, 0, 0, 0), 0),
        ((0.97, 0, 0.99, 0), 0),  # not clearly better
        ((0.8, 0, 0, 0.99), 270),
        ((0, 0.95, 0.92, 0), 90),
        ((0.3, 0.8, 0, 0), 0),  # better, but unsure
        ((0, 0.8, 0, 0), None),
    ],
)
def test_a_photo_is_taken_as_turned_only_if_that_is_clear(scores, turn):
    points = np.array([[10, 10], [20, 10], [15, 15], [11, 20], [19, 20]], float)
    looks = [[Face(5, 5, 25, 30, score, points)] if score else [] for score in scores]
    counting = Counting(Mtcnn, looks)
    found = AnyWayUp(counting).find(np.zeros((40, 60, 3), np.uint8))
    assert [face.turn for face in found] == ([] if turn is None else [turn])


def test_a_face_that_leans_far_is_not_upright():
    lying = np.array([[20, 10], [20, 20], [15, 15], [10, 11], [10, 19]], float)
    upright = np.array([[10, 10], [20, 10], [15, 15], [11, 20], [19, 20]], float)
    looks = [[Face(5, 5, 25, 30, 0.999, lying)], [], [], [Face(5, 5, 25, 30, 0.999, upright)]]
    (face,) = AnyWayUp(Counting(Mtcnn, looks)).find(np.zeros((40, 60, 3), np.uint8))
    assert (face.turn, face.roll) == (270, 270)


def test_a_faceless_picture_has_no_face_from_any_side(detector):
    from skimage import data

    for texture in (data.gravel(), data.grass(), data.brick()):
        assert AnyWayUp(detector).find(np.dstack([texture] * 3)) == []


@pytest.mark.parametrize("shape", [(10, 100_000), (100_000, 10), (1, 20_000)])
def test_a_sliver_has_no_face(detector, shape):
    assert AnyWayUp(detector).find(np.full((*shape, 3), 90, np.uint8)) == []


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_most_portraits_are_found_whichever_way_up(detector, shared, turn):
    portraits = sorted((shared / "data" / "portraits").glob("*.jpg"))[::100]
    photos = [cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB) for path in portraits]
    found = [AnyWayUp(detector).find(np.ascontiguousarray(np.rot90(photo, -turn // 90))) for photo in photos]
    assert sum(bool(faces) and faces[0].turn == turn for faces in found) >= len(photos) - 1
