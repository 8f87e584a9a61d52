"""Which faces of a picture are meant."""

from __future__ import annotations

import numpy as np
import pytest

from deform_frontalize.choice import check, choose, face_at
from deform_frontalize.options import FaceOptions, ViewOptions
from deformcli.errors import NothingToDoError, UsageError
from deformcli.faces import Face


def _face(size: float, yaw: float = 0.0) -> Face:
    nose = 0.55 * np.sin(np.radians(yaw)) * size
    return Face(0, 0, size, size, 0.9, np.array([[-size, 0], [size, 0], [nose, size / 2], [-size, size], [size, size]]))


def test_which_faces():
    faces = [_face(90), _face(60, 50), _face(30)]
    assert choose(faces, "largest", paste=False) == (faces[:1], [])
    assert choose(faces, "all", paste=False) == (faces, [])
    assert choose(faces, "2", paste=False) == (faces[1:2], [])
    assert choose(faces, "all", paste=False, min_face=60)[0] == faces[:2]


def test_faces_that_stay_are_named_with_the_reason():
    faces = [_face(90), _face(60, 50), _face(50, 20), _face(20, 20)]
    kept, notes = choose(faces, "all", paste=True, min_face=40)
    assert kept == [faces[2]]
    reasons = ("it looks ahead already", "turned too far to be pasted back", "20 pixels from brow to chin")
    for note, number, face, reason in zip(notes, (1, 2, 4), (faces[0], faces[1], faces[3]), reasons, strict=True):
        assert note.startswith(f"face {number}, {face}, stays as it is") and reason in note
    assert choose(faces[:1], "largest", paste=True)[0] == []


def test_a_small_face_is_remarked_on():
    kept, (note,) = choose([_face(23)], "largest", paste=False)
    assert len(kept) == 1 and "23 pixels from brow to chin, too few" in note
    assert choose([_face(24)], "largest", paste=False)[1] == []


@pytest.mark.parametrize(
    ("count", "which", "paste", "min_face", "words"),
    [
        (0, "all", False, 0, "no face found"),
        (2, "3", False, 0, "no face 3, 2 found"),
        (1, "1", True, 0, "turned too far"),
        (2, "all", False, 91, "90 pixels from brow to chin, less than --min-face 91"),
    ],
)
def test_no_such_face(count, which, paste, min_face, words):
    with pytest.raises(NothingToDoError, match=words):
        choose([_face(90, 70)] * count, which, paste=paste, min_face=min_face)


def test_the_remedy_for_no_face_names_the_photos_rotation():
    with pytest.raises(NothingToDoError) as caught:
        choose([], "largest", paste=False)
    assert "turn the photo upright" in caught.value.remedy


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


def test_a_box_is_a_face():
    assert str(face_at("10,20,30,40", 100, 100)) == "box 10,20,30,40"
    assert str(face_at("-10,70,40,40", 100, 100)) == "box -10,70,40,40"  # reaching beyond the picture, as detectors' do


@pytest.mark.parametrize(
    "box", ["100,0,9,9", "-9,0,9,9", "-5,-5,9,9", "90,90,30,30", "0,0,300,300", "-900,50,999999,50"]
)
def test_a_box_is_mostly_in_the_picture(box):
    with pytest.raises(NothingToDoError, match=f"--box {box}: most of it lies outside the picture of 100 x 100"):
        face_at(box, 100, 100)
