"""Crops, meshes and ArcFace-style networks agree on where eyes and mouth are."""

from __future__ import annotations

import numpy as np
import pytest

from deformcli.faces import EYES, EYES_TO_MOUTH, Mtcnn, frame_around, square_around
from deformcli.faces.detect import Face
from deformcli.faces.framing import ARCFACE, arcface_view

EYES_AND_MOUTH = np.array([40.0, 60.0]), np.array([50.0, 100.0])


def test_the_view_of_arcface_has_a_crops_eyes_and_mouth_where_it_wants_them():
    half, centre = arcface_view()
    for part, height in ((slice(2), EYES), (slice(3, 5), EYES + EYES_TO_MOUTH)):
        wanted = ARCFACE[part, 1].mean() / 112 * 2 - 1
        assert centre + half * wanted == pytest.approx(height * 2 - 1, abs=2e-3)


def test_a_frame_has_its_eyes_and_mouth_at_their_heights():
    eyes, mouth = EYES_AND_MOUTH
    side, (left, top) = frame_around(eyes, mouth, np.array([10.0, 90.0]), None)
    assert (eyes[1] - top) / side == pytest.approx(EYES)
    assert np.hypot(*(mouth - eyes)) / side == pytest.approx(EYES_TO_MOUTH)
    assert left + side / 2 == pytest.approx(50)


def test_frames_are_jittered_by_a_seed():
    frames = [frame_around(*EYES_AND_MOUTH, np.array([10.0, 90.0]), np.random.default_rng(s)) for s in (0, 0, 1)]
    assert frames[0][0] == frames[1][0] != frames[2][0]


def test_a_leaning_face_is_framed_by_its_points():
    points = np.array([[30, 50], [60, 60], [43, 70], [25, 85], [50, 93]], float)
    face = Face(10, 20, 80, 100, 1.0, points)
    square = square_around(face)
    size = 200
    eyes, mouth = (square.to_crop(size) @ [*points[part].mean(0), 1] for part in (slice(2), slice(3, 5)))
    assert eyes[1] / size == pytest.approx(EYES, abs=0.01)
    assert (mouth - eyes)[1] / size == pytest.approx(EYES_TO_MOUTH, abs=1e-6)


def test_points_are_found_after_a_second_try():
    """The thresholds of `find` are not those that `points` uses."""
    from skimage.data import astronaut

    from deformcli.images import to_tensor

    detector, image = Mtcnn(), astronaut()[20:276, 98:354]
    before = detector.points(to_tensor(image))[0]
    assert detector.find(np.zeros((300, 300, 3), np.uint8)) == []
    assert np.array_equal(before, detector.points(to_tensor(image))[0])
