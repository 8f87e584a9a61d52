"""`deform frontalize`: finding the face, cutting it out, and what it writes and refuses."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from deform_frontalize.face_crop import SIZE, Face, FaceDetector, crop, largest, resize_aligned
from deform_frontalize.frontalizer import Frontalizer
from deform_frontalize.networks import soft_warp
from deformcli.errors import NothingToDoError


@pytest.fixture
def run_frontalize(command, tiny_weights):
    """`run_frontalize("a.png", "-o", "b.png", ...)` with tiny weights."""
    return lambda *args: command("frontalize", *args, "--weights", tiny_weights("frontalize"))


@pytest.fixture(scope="session")
def detector() -> FaceDetector:
    return FaceDetector()


def pixels(path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


# finding a face


def test_the_astronauts_face_is_found_and_cropped_as_in_training(detector, photo):
    faces = detector.find(photo)
    assert faces[0].score > 0.99
    assert (170 < faces[0].left < 220, 60 < faces[0].top < 130) == (True, True)
    face = crop(photo, faces[0])
    assert face.shape == (SIZE, SIZE, 3)
    _, _, points = detector.network.detect(cv2.resize(face, (512, 512)), landmarks=True)
    left, right, _, mouth_left, mouth_right = points[0] / 512
    assert (left[1] + right[1]) / 2 == pytest.approx(1 / 3, abs=0.05)
    assert (left[0] + right[0]) / 2 == pytest.approx(0.5, abs=0.08)
    assert (mouth_left[1] + mouth_right[1] - left[1] - right[1]) / 2 == pytest.approx(42 / 128, abs=0.05)


def test_faces_come_largest_first(detector, photo):
    half = cv2.resize(photo[30:230, 120:320], (120, 120), interpolation=cv2.INTER_AREA)
    scene = np.full((260, 360, 3), 128, np.uint8)
    scene[40:160, 0:120] = half
    scene[30:230, 150:350] = photo[30:230, 120:320]
    faces = detector.find(scene)
    assert len(faces) == 2
    assert faces[0].area > faces[1].area
    assert faces[0].left > 150 > faces[1].right
    assert largest(faces, "x") is faces[0]


@pytest.mark.parametrize("shape", [(200, 200), (10, 300), (1, 1)])
def test_no_face(detector, shape):
    assert detector.find(np.full((*shape, 3), 90, np.uint8)) == []
    with pytest.raises(NothingToDoError, match=r"wall\.png: no face found"):
        largest([], "wall.png")


def test_crop_places_the_box():
    """A box 118 high becomes the crop's 118 of 128 pixels; the crop lies 0.076 of its side below the box's middle."""
    picture = np.zeros((400, 400, 3), np.uint8)
    x, y = np.meshgrid(np.arange(400), np.arange(400))
    picture[..., 0], picture[..., 1] = x // 2, y // 2
    face = crop(picture, Face(100, 100, 190, 218, 1.0)).astype(int)
    assert face[64, 64, 0] * 2 == pytest.approx(145, abs=2)
    assert face[64, 64, 1] * 2 == pytest.approx(159 + 0.076 * 128, abs=2)
    assert (face[64, 100, 0] - face[64, 30, 0]) * 2 == pytest.approx(70, abs=2)


def test_crop_beyond_the_edge_repeats_it():
    picture = np.zeros((60, 60, 3), np.uint8)
    picture[0], picture[1:] = 200, 50
    face = crop(picture, Face(5, -30, 55, 20, 1.0))
    assert (face[:20] == 200).all()
    assert (face[-30:] == 50).all()


@pytest.mark.parametrize("side", [300, 700, 2000])
def test_large_faces_are_averaged_down(side):
    """A fine chequerboard becomes grey, not a moire pattern."""
    board = ((np.add(*np.indices((side, side))) % 2) * 255).astype(np.uint8)
    face = crop(np.dstack([board] * 3), Face(side * 0.1, side * 0.1, side * 0.9, side * 0.9, 1.0))
    assert np.abs(face.astype(int) - 127).max() < 30


@pytest.mark.parametrize("size", [(128, 128), (250, 250), (60, 60)])
def test_an_aligned_picture_is_only_resized(smooth_picture, size):
    picture = smooth_picture(*size)
    made = resize_aligned(picture)
    assert made.shape == (SIZE, SIZE, 3)
    back = cv2.resize(made, size[::-1], interpolation=cv2.INTER_LINEAR)
    assert np.abs(back.astype(int) - picture).mean() < 3


# the networks


def test_frontalizer_gives_what_it_says(tiny_weights):
    frontalizer = Frontalizer.from_weights(tiny_weights("frontalize"), torch.device("cpu"))
    made = frontalizer(torch.rand(2, 3, 128, 128) * 4 - 2)
    shapes = {"flow": (2, 2), "visibility": (2, 1), "warped": (2, 3), "known": (2, 1), "output": (2, 3)}
    assert {name: tuple(value.shape[:2]) for name, value in made._asdict().items()} == shapes
    assert all(value.shape[2:] == (128, 128) for value in made)
    assert -1 <= made.output.min() <= made.output.max() <= 1
    assert 0 <= made.known.min() <= made.known.max() <= 1


def test_an_untrained_composition_returns_nearly_its_input(tiny_weights, photo):
    """The flow begins near the identity and the inpainter adds nothing at first."""
    frontalizer = Frontalizer.from_weights(tiny_weights("frontalize"), torch.device("cpu"))
    face = torch.from_numpy(photo[40:168, 160:288].copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
    assert (frontalizer(face).output - face).abs().mean() < 0.1


def test_soft_warp_by_hand(tiny_config):
    """Everything moves 2 pixels to the right; what is judged invisible is not moved, and leaves a hole."""
    config = tiny_config("frontalize", "best").generator
    image = (torch.arange(8.0) / 8).expand(1, 3, 8, 8)
    flow = torch.zeros(1, 2, 8, 8)
    flow[:, 0] = 2
    seen = torch.full((1, 1, 8, 8), 20.0)
    seen[..., 4:] = -20
    warped, known = soft_warp(image, flow, seen, config)
    assert torch.allclose(known[..., 3:5], torch.ones(1, 1, 8, 2), atol=1e-3)
    assert known[..., :1].abs().max() < 1e-3
    assert known[..., 7:].abs().max() < 1e-3
    assert torch.allclose(warped[..., 3:5], image[..., 1:3], atol=1e-3)
    visible, _ = soft_warp(image, flow, seen.fill_(20), config)
    assert torch.allclose(visible[..., 5:7], image[..., 3:5], atol=1e-3)


# the command


@pytest.mark.parametrize("kind", ["grey", "alpha", "tall", "small"])
def test_aligned_pictures_of_any_kind(run_frontalize, save, smooth_picture, kind):
    picture = {
        "grey": smooth_picture(128, 128)[..., 0],
        "alpha": np.dstack([smooth_picture(200, 200), np.full((200, 200), 90, np.uint8)]),
        "tall": smooth_picture(300, 200),
        "small": smooth_picture(30, 30),
    }[kind]
    assert run_frontalize(save("a.png", picture), "-o", "out.png", "--aligned") == (0, "", "")
    assert pixels("out.png").shape == ((128, 128) if kind == "grey" else (128, 128, 3))


def test_folder_to_folder(run_frontalize, save, smooth_picture, tmp_path):
    for name in ("a.png", "b.jpg", "below/c.png"):
        save(f"in/{name}", smooth_picture(128, 128))
    ended = run_frontalize("in", "-r", "-o", "out", "--aligned", "--json")
    assert ended.code == 0
    assert [outcome["status"] for outcome in json.loads(ended.out)] == ["done"] * 3
    made = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*"))
    assert made == ["a.png", "b.jpg", "below/c.png"]
    again = run_frontalize("in", "-r", "-o", "out", "--aligned", "--json")
    assert [outcome["status"] for outcome in json.loads(again.out)] == ["skipped"] * 3


def test_show_warp_writes_three_pictures(run_frontalize, save, photo, tmp_path):
    save("face.png", photo[40:168, 160:288])
    assert run_frontalize("face.png", "-o", "out.png", "--aligned", "--show-warp", "warp").code == 0
    assert {path.name for path in (tmp_path / "warp").iterdir()} == {
        "out-warped.png",
        "out-holes.png",
        "out-flow.png",
    }
    assert all(pixels(path).shape == (128, 128, 3) for path in (tmp_path / "warp").iterdir())
    warped, holes = pixels("warp/out-warped.png").astype(int), pixels("warp/out-holes.png")
    assert np.abs(warped - photo[40:168, 160:288])[30:100, 30:100].mean() < 15  # near the identity before training
    assert holes[30:100, 30:100].max() < 128


def test_warps_keep_the_tree_of_the_outputs(run_frontalize, save, photo, tmp_path):
    save("in/a.png", photo[40:168, 160:288]), save("in/below/a.png", photo[40:168, 160:288])
    assert run_frontalize("in", "-r", "-o", "out", "--aligned", "--show-warp", "warp").code == 0
    assert sorted(str(path.relative_to(tmp_path / "warp")) for path in (tmp_path / "warp").rglob("*-flow.png")) == [
        "a-flow.png",
        "below/a-flow.png",
    ]


def test_one_picture_of_several_without_a_face(run_frontalize, save, photo, smooth_picture, tmp_path):
    save("in/face.png", photo[:260, 90:350]), save("in/wall.png", np.full((100, 100, 3), 90, np.uint8))
    ended = run_frontalize("in", "-o", "out")
    assert ended.code == 3
    assert "wall.png: no face found" in ended.err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["face.png"]


def test_no_face_is_refused(refused, save, tiny_weights):
    save("wall.png", np.full((100, 100, 3), 90, np.uint8))
    args = ("wall.png", "-o", "out.png", "--show-warp", "warp", "--weights", tiny_weights("frontalize"))
    assert "wall.png: no face found" in refused(5, "frontalize", *args)


@pytest.mark.parametrize("fault", ["missing", "text", "truncated", "empty"])
def test_bad_pictures(refused, bad_picture, tiny_weights, fault):
    args = (bad_picture(fault), "-o", "out.png", "--weights", tiny_weights("frontalize"))
    assert "bad.png" in refused(2, "frontalize", *args)


def test_bad_weights(refused, bad_weights, save, smooth_picture):
    save("a.png", smooth_picture(128, 128))
    path = bad_weights("frontalize")
    assert path.name in refused(4, "frontalize", "a.png", "--aligned", "-o", "out.png", "--weights", path)


@pytest.mark.parametrize("option", [("-o", "/proc/x/out.png"), ("--show-warp", "/proc/x")])
def test_folders_that_cannot_be_written(refused, save, smooth_picture, tiny_weights, option):
    save("a.png", smooth_picture(128, 128))
    args = ("a.png", "--aligned", "-o", "out.png", "--weights", tiny_weights("frontalize"), *option)
    assert "/proc/x" in refused(1, "frontalize", *args)


def test_as_a_real_process(deform, save, photo, tmp_path, tiny_weights):
    """The astronaut, found by MTCNN, without network."""
    args = (save("photo.jpg", photo), "-o", tmp_path / "out.png", "--show-warp", tmp_path / "warp", "--offline")
    ended = deform("frontalize", *args, "--weights", tiny_weights("frontalize"), DEFORM_LOAD_PLUGINS="frontalize")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert pixels(tmp_path / "out.png").shape == (128, 128, 3)
    assert len(list((tmp_path / "warp").iterdir())) == 3
