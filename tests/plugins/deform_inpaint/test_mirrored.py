"""A hidden eye comes back from the other one."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from deform_inpaint.mirrored import hidden_faces, mirror_into

EYE = np.s_[84:118, 232:262]  # the astronaut's, on image right


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    photo = Path(__file__).parents[3] / "examples" / "astronaut.jpg"
    return cv2.cvtColor(cv2.imread(str(photo)), cv2.COLOR_BGR2RGB)


def hidden(picture: np.ndarray, place: tuple[slice, slice]) -> tuple[np.ndarray, np.ndarray]:
    """The picture with a place blurred, as a network might fill it, and which pixels are known."""
    known = np.ones(picture.shape[:2], bool)
    known[place] = False
    filled = picture.copy()
    filled[place] = cv2.GaussianBlur(picture, (0, 0), 15)[place]
    return filled, known


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_hidden_eye_comes_back(astronaut, dtype):
    scale = 1 if dtype == np.uint8 else 257
    filled, known = hidden(astronaut.astype(dtype) * scale, EYE)
    before = filled.copy()
    meshes = hidden_faces(filled, known)
    assert len(meshes) == 1
    found = mirror_into(filled, known, meshes)
    assert (filled[known] == before[known]).all() and (found >= known).all()
    assert found[EYE].mean() > 0.6

    def sharpness(picture: np.ndarray) -> float:
        return float(cv2.Laplacian(picture[..., 0].astype(np.float32), cv2.CV_32F)[95:112, 238:256].std())

    true = sharpness(astronaut.astype(dtype) * scale)
    assert sharpness(before) < 0.1 * true and 0.5 * true < sharpness(filled) < 1.5 * true


def test_only_faces_with_wide_holes_are_looked_at(astronaut, monkeypatch):
    monkeypatch.setattr("deform_inpaint.mirrored._networks", lambda: pytest.fail("no hole is wide"))
    assert hidden_faces(*hidden(astronaut, np.s_[100:110, 230:262])) == []


def test_a_hole_elsewhere_concerns_no_face(astronaut):
    assert hidden_faces(*hidden(astronaut, np.s_[400:440, 20:60])) == []


def test_halves_that_are_unlike_are_no_mirror_images(astronaut):
    """A hole in a face that is half in the dark, or half covered, is left as it is."""
    filled, known = hidden(astronaut, EYE)
    meshes = hidden_faces(filled, known)
    filled[:, :224] = (255, 0, 0)
    before = filled.copy()
    assert (mirror_into(filled, known, meshes) == known).all() and (filled != before).mean() < 1e-3


def test_both_eyes_hidden(astronaut):
    """Nothing is known of either: both stay as they are, but for a strip at one end of the hole."""
    filled, known = hidden(astronaut, np.s_[86:118, 185:275])
    before = filled.copy()
    mirror_into(filled, known, hidden_faces(filled, known))
    assert (filled[:, :255] == before[:, :255]).all()
