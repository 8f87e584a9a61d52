"""The mirror image of a face's pixels."""

from __future__ import annotations

import numpy as np
import pytest

from deformcli.faces.pose import canonical, mirrored
from deformcli.faces.symmetry import mirror_flow

PLACE = slice(20, 220), slice(30, 230)


def mesh_of(yaw: float) -> np.ndarray:
    """The canonical face, some 140 pixels wide, turned by an angle about the upright axis."""
    a = np.radians(yaw)
    turn = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    return (canonical()[0] @ turn.T) * [10, -10, -10] + [130, 120, 0]


@pytest.mark.parametrize("yaw", [0, 25])
def test_points_come_to_their_mirror_images(yaw):
    mesh = mesh_of(yaw)
    flow, face = mirror_flow(mesh, PLACE)
    x, y = (mesh[:, :2] - 0.5).round().astype(int).T
    inside = face[y - 20, x - 30]
    assert inside.mean() > 0.8
    error = mesh[:, :2] + flow[y - 20, x - 30] - mesh[mirrored(), :2]
    far = np.hypot(*error[inside].T)
    assert np.median(far) < 1 and np.quantile(far, 0.9) < 0.04 * 140  # the rim of a turned head is steep


def test_the_middle_line_stays():
    flow, face = mirror_flow(mesh_of(0), PLACE)
    assert np.abs(flow[face[:, 99], 99]).max() < 1.5
    assert flow[100, 40, 0] == pytest.approx(2 * (129.5 - 70), abs=2)


def test_a_region_away_from_the_face_has_none_of_it():
    _, face = mirror_flow(mesh_of(0), (slice(0, 30), slice(0, 40)))
    assert face.shape == (30, 40) and not face.any()
