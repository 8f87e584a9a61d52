"""The rasteriser against what a triangle is."""

from __future__ import annotations

import numpy as np
import pytest

from deform_synthesize.rasterize import rasterize

FACING = np.array([[0, 1, 2]])  # clockwise on a screen whose y points down is what faces the camera


def triangle(distance: float) -> np.ndarray:
    return np.array([[2, 18, distance], [18, 18, distance], [2, 2, distance]], np.float32)


def draw(vertices, triangles=FACING, two_sided=False, layers=2, shape=(20, 20)):
    return rasterize(vertices, triangles, np.full(len(triangles), two_sided), shape, layers)


def test_pixels_inside_have_weights_that_give_their_place():
    found = draw(triangle(5))
    y, x = np.nonzero(found.triangle[0] == 0)
    assert len(x) == 16 * 17 / 2
    first, second = found.weights[0, y, x].T
    places = np.stack([first, second, 1 - first - second], 1) @ triangle(5)
    assert np.allclose(places, np.stack([x + 0.5, y + 0.5, np.full(len(x), 5)], 1), atol=1e-4)
    assert (found.triangle[1] == -1).all()


def test_layers_are_sorted_whatever_the_order():
    vertices = np.concatenate([triangle(distance) for distance in (7, 3, 9, 5)])
    found = draw(vertices, np.arange(12).reshape(4, 3), layers=3)
    assert found.triangle[:, 15, 5].tolist() == [1, 3, 0]
    assert found.distance[:, 15, 5] == pytest.approx([3, 5, 7])


def test_backs_show_only_where_they_are_two_sided():
    assert (draw(triangle(5), FACING[:, ::-1]).triangle == -1).all()
    assert (draw(triangle(5), FACING[:, ::-1], True).triangle[0] == 0).any()
    assert (draw(triangle(5), FACING, True).triangle[0] == 0).any()


def test_weights_are_those_of_space_not_of_the_screen():
    vertices = np.array([[0, 20, 1], [20, 20, 3], [0, 0, 1]], np.float32)
    found = draw(vertices)
    x = 10.5 / 20  # along the lower edge, where inverse distances are linear
    assert found.distance[0, 19, 10] == pytest.approx(1 / (1 + (1 / 3 - 1) * x), rel=1e-3)


def test_two_triangles_share_an_edge_without_a_gap():
    vertices = np.array([[0, 0, 1], [0, 20, 1], [20, 20, 1], [20, 0, 1]], np.float32)
    found = draw(vertices, np.array([[0, 1, 2], [0, 2, 3]]))
    assert (found.triangle[0] >= 0).all()


def test_what_lies_behind_the_camera_or_off_the_picture_is_left_out():
    assert (draw(triangle(-5)).triangle == -1).all()
    assert (draw(triangle(5) + np.float32([100, 0, 0])).triangle == -1).all()
    assert (draw(np.full((3, 3), np.nan)).triangle == -1).all()


def test_vertices_that_are_not_there():
    with pytest.raises(ValueError, match="not there"):
        draw(triangle(5), np.array([[0, 1, 3]]))
