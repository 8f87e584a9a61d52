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


def test_a_box_is_a_face():
    assert str(face_at("10,20,30,40")) == "box 10,20,30,40"
