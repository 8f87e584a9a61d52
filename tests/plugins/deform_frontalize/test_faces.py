"""Finding faces and cutting them out."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import cv2
import numpy as np
import pytest

from deform_frontalize.choice import check, choose, face_at
from deform_frontalize.options import FaceOptions, ViewOptions
from deformcli.errors import NothingToDoError, UsageError, WeightsError
from deformcli.faces import SIZE, Square, crop, native_size, paste, square_around
from deformcli.faces.detect import LONGEST, Face, Mtcnn, YuNet, find_detector
from deformcli.faces.framing import LARGEST


@pytest.fixture(scope="session")
def mtcnn() -> Mtcnn:
    return Mtcnn()


@pytest.fixture(scope="session")
def yunet(shared) -> YuNet:
    return YuNet(shared / "weights" / "yunet_n_640_640.onnx")


@pytest.fixture(params=["mtcnn", "yunet"])
def any_detector(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def group(photo) -> np.ndarray:
    """The astronaut's face (260, 360, 3) twice, the smaller one at the left."""
    scene = np.full((260, 360, 3), 128, np.uint8)
    scene[40:160, 0:120] = cv2.resize(photo[30:230, 120:320], (120, 120), interpolation=cv2.INTER_AREA)
    scene[30:230, 150:350] = photo[30:230, 120:320]
    return scene


# detectors


def test_the_astronauts_face_is_cropped_as_in_training(mtcnn, photo):
    face = mtcnn.find(photo)[0]
    assert face.score > 0.99
    assert abs(face.yaw) < 12
    cut = crop(photo, square_around(face))
    assert cut.shape == (SIZE, SIZE, 3)
    left, right, _, mouth_left, mouth_right = mtcnn.find(cv2.resize(cut, (512, 512)))[0].points / 512
    assert (left[1] + right[1]) / 2 == pytest.approx(1 / 3, abs=0.05)
    assert (left[0] + right[0]) / 2 == pytest.approx(0.5, abs=0.08)
    assert (mouth_left[1] + mouth_right[1] - left[1] - right[1]) / 2 == pytest.approx(42 / 128, abs=0.05)


@pytest.mark.parametrize("lean", [-25, 15, 30])
def test_a_leaning_face_is_cut_out_with_level_eyes(mtcnn, photo, lean):
    turn = cv2.getRotationMatrix2D((255.5, 255.5), -lean, 1)
    leaning = cv2.warpAffine(photo, turn, (512, 512), borderMode=cv2.BORDER_REPLICATE)
    face = mtcnn.find(leaning)[0]
    assert face.roll == pytest.approx(lean, abs=6)
    eyes = mtcnn.find(cv2.resize(crop(leaning, square_around(face)), (512, 512)))[0].points[:2] / 512
    assert eyes[1, 1] - eyes[0, 1] == pytest.approx(0, abs=0.04)
    assert eyes.mean(0) == pytest.approx([0.5, 1 / 3], abs=0.08)


def test_a_slight_slope_of_a_profile_is_no_lean():
    frontal = np.array([[0, 0], [10, 1], [6, 5], [0, 10], [10, 11]], float)
    assert Face(0, 0, 10, 20, 1.0, frontal).roll == pytest.approx(np.degrees(np.arctan2(1, 10)))
    assert Face(0, 0, 10, 20, 1.0, frontal * [0.6, 1]).roll == 0
    assert Face(0, 0, 10, 20, 1.0).roll == 0
    assert Face(0, 0, 10, 20, 1.0, np.zeros((5, 2))).roll == 0


def test_both_detectors_frame_alike(mtcnn, yunet, photo):
    one, other = (square_around(detector.find(photo)[0]) for detector in (mtcnn, yunet))
    assert np.abs(np.subtract(one, other)).max() < 0.06 * one.side


def test_faces_come_largest_first(any_detector, group):
    faces = any_detector.find(group)
    assert len(faces) == 2
    assert faces[0].area > faces[1].area
    assert faces[0].left > 150 > faces[1].right


@pytest.mark.parametrize("shape", [(200, 200), (10, 300), (1, 1)])
def test_no_face(any_detector, shape):
    assert any_detector.find(np.full((*shape, 3), 90, np.uint8)) == []


def test_a_second_look_sees_no_faces_in_gravel(mtcnn):
    from skimage import data

    for texture in (data.gravel(), data.grass(), data.brick()):
        assert mtcnn.find(np.dstack([texture] * 3)) == []


def test_a_large_picture_is_reduced(any_detector, photo):
    large = cv2.resize(photo, (2 * LONGEST, 2 * LONGEST))
    face, known = any_detector.find(large)[0], any_detector.find(photo)[0]
    assert np.abs(face.box * 512 / (2 * LONGEST) - known.box).max() < 12


@pytest.mark.parametrize(("yaw", "words"), [(-30, "turned to the left"), (0, "frontal"), (30, "turned to the right")])
def test_rough_pose(mtcnn, photo_turned, yaw, words):
    face = mtcnn.find(photo_turned(abs(yaw), 1)[yaw > 0].picture)[0]
    assert words in str(face)
    assert face.yaw == pytest.approx(yaw, abs=25)


@pytest.mark.parametrize(("name", "least"), [("mtcnn", 0.9), ("yunet", 0.9)])
def test_most_faces_turned_by_sixty_degrees_are_found(request, photo_turned, name, least):
    """Portraits with their background, turned to either side."""
    finder = request.getfixturevalue(name)
    hits = [_is_framed(finder.find(turned.picture), turned.framed) for turned in photo_turned(60, 8)]
    assert len(hits) >= 12
    assert np.mean(hits) >= least


def _is_framed(faces: list[Face], framed: Square) -> bool:
    """Whether the crop of the largest face is about the one that training would have made of the turned mesh."""
    if not faces:
        return False
    square = square_around(faces[0])
    off = max(abs(square.x - framed.x), abs(square.y - framed.y))
    return off < 0.15 * framed.side and 0.7 < square.side / framed.side < 1.4


@pytest.fixture(scope="session")
def photo_turned(shared):
    """Portraits in their own framing, turned in 2.5D: `photo_turned(60, 12)` is about so many, to both sides."""
    path = Path(__file__).parents[3] / "benchmarks" / "faces.py"
    specification = importlib.util.spec_from_file_location("faces", path)
    faces = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(faces)
    return lambda yaw, count: list(faces.portraits(shared / "data" / "portraits", count, [yaw]))


@pytest.mark.parametrize("name", ["no-such-id", "gone.onnx", "weights.pth", "inpaint-128", "text.onnx"])
def test_detectors_that_are_not_there(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("text.onnx").write_text("no network")
    with pytest.raises(WeightsError):
        find_detector(name, "cpu")


# choosing


def _face(size: float, yaw: float = 0.0) -> Face:
    nose = 0.55 * np.sin(np.radians(yaw)) * size
    return Face(0, 0, size, size, 0.9, np.array([[-size, 0], [size, 0], [nose, size / 2], [-size, size], [size, size]]))


def test_which_faces():
    faces = [_face(90), _face(60, 50), _face(30)]
    assert choose(faces, "largest", paste=False) == faces[:1]
    assert choose(faces, "all", paste=False) == faces
    assert choose(faces, "2", paste=False) == faces[1:2]
    tilted = _face(50, 20)
    assert choose([*faces, tilted], "all", paste=True) == [tilted]
    assert choose(faces, "largest", paste=True) == []


@pytest.mark.parametrize(
    ("count", "which", "paste", "words"),
    [
        (0, "all", False, "no face found"),
        (2, "3", False, "no face 3, 2 found"),
        (1, "1", True, "turned too far"),
    ],
)
def test_no_such_face(count, which, paste, words):
    with pytest.raises(NothingToDoError, match=words):
        choose([_face(90, 70)] * count, which, paste=paste)


@pytest.mark.parametrize(
    ("faces", "view", "output"),
    [
        ({"face": "two"}, {}, "out"),
        ({"face": "0"}, {}, "out"),
        ({"box": "1,2,3"}, {}, "out"),
        ({"box": "1,2,0,5"}, {}, "out"),
        ({"aligned": True}, {"paste": True}, "out"),
        ({"aligned": True, "box": "1,2,3,4"}, {}, "out"),
        ({"face": "all"}, {}, "-"),
    ],
)
def test_options_that_make_no_sense(faces, view, output):
    with pytest.raises(UsageError):
        check(FaceOptions(**faces), ViewOptions(**view), output)


def test_a_yaw_of_a_degenerate_face_is_a_number():
    assert Face(0, 0, 1, 1, 0.5, np.zeros((5, 2))).yaw == 0
    assert str(face_at("10,20,30,40")) == "box 10,20,30,40"


# crops


def test_crop_places_the_box():
    """A box 118 high becomes the crop's 118 of 128 pixels; the crop lies 0.076 of its side below the box's middle."""
    picture = np.zeros((400, 400, 3), np.uint8)
    x, y = np.meshgrid(np.arange(400), np.arange(400))
    picture[..., 0], picture[..., 1] = x // 2, y // 2
    face = crop(picture, square_around(face_at("100,100,90,118"))).astype(int)
    assert face[64, 64, 0] * 2 == pytest.approx(145, abs=2)
    assert face[64, 64, 1] * 2 == pytest.approx(159 + 0.076 * 128, abs=2)
    assert (face[64, 100, 0] - face[64, 30, 0]) * 2 == pytest.approx(70, abs=2)


def test_crop_beyond_the_edge_repeats_it():
    picture = np.zeros((60, 60, 3), np.uint8)
    picture[0], picture[1:] = 200, 50
    face = crop(picture, square_around(face_at("5,-30,50,50")))
    assert (face[:20] == 200).all()
    assert (face[-30:] == 50).all()


@pytest.mark.parametrize("side", [300, 700, 2000])
def test_large_faces_are_averaged_down(side):
    """A fine chequerboard becomes grey, not a moire pattern."""
    board = ((np.add(*np.indices((side, side))) % 2) * 255).astype(np.uint8)
    face = crop(np.dstack([board] * 3), Square(side / 2, side / 2, side * 0.85))
    assert np.abs(face.astype(int) - 127).max() < 30


@pytest.mark.parametrize("side", [300, 1000])
def test_crops_of_every_size_show_the_same(smooth_picture, side):
    picture, square = smooth_picture(1100, 1100), Square(520.3, 610.8, side)
    small, large = (crop(picture, square, size) for size in (SIZE, native_size(picture, square)))
    assert large.shape[0] == side
    again = cv2.resize(large, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    assert np.abs(again.astype(int) - small)[4:-4, 4:-4].mean() < 0.6


def test_native_size_has_bounds(photo):
    assert native_size(photo, Square(0, 0, 20)) == SIZE
    assert native_size(photo, Square(0, 0, 5000)) == LARGEST
    assert native_size(photo, None) == 512


@pytest.mark.parametrize("size", [(128, 128), (250, 250), (60, 60)])
def test_a_whole_picture_is_only_resized(smooth_picture, size):
    picture = smooth_picture(*size)
    made = crop(picture, None)
    assert made.shape == (SIZE, SIZE, 3)
    back = cv2.resize(made, size[::-1], interpolation=cv2.INTER_LINEAR)
    assert np.abs(back.astype(int) - picture).mean() < 3


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("square", [Square(100, 80, 90), Square(10, 150, 120), Square(100, 80, 90, roll=25)])
def test_what_was_cut_out_is_pasted_where_it_was(smooth_picture, square, dtype):
    picture = smooth_picture(160, 200)
    deep = picture.astype(dtype) * (np.iinfo(dtype).max // 255)
    result = deep.copy()
    paste(result, square, crop(picture, square, round(square.side)))
    assert np.abs(result.astype(int) - deep).max() <= 6 * (np.iinfo(dtype).max // 255)
    paste(result, square, np.full((128, 128, 3), 255, np.uint8))
    changed = (result != deep).any(2)
    assert changed[int(square.y), int(square.x)]
    y, x = np.nonzero(changed)
    assert np.abs(x - square.x).max() <= square.side / 2
    assert np.abs(y - square.y).max() <= square.side / 2
