"""Meshes of faces follow the face wherever it goes in the picture; poses are those of the heads."""

from __future__ import annotations

import numpy as np
import pytest

from deformcli.data.files import read_picture
from deformcli.data.turning import rotation
from deformcli.faces.detect import Face, YuNet
from deformcli.faces.mesh_finder import Mesh, MeshFinder
from deformcli.faces.pose import canonical, eye_distance, fit_pose, mirrored
from deformcli.weights.store import resolve_weights

FACE = Face(175, 65, 275, 200, 1.0)  # the astronaut's


@pytest.fixture(scope="module")
def finder() -> MeshFinder:
    return MeshFinder(resolve_weights("face-mesh", task="mesh", offline=True))


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    from skimage.data import astronaut

    return astronaut()


@pytest.fixture(scope="module")
def mesh(finder, photo) -> Mesh:
    return finder.find(photo, FACE)


def distance(points: np.ndarray, others: np.ndarray) -> float:
    """Mean distance in the picture, in distances of the eyes' corners."""
    return np.hypot(*(points - others)[:, :2].T).mean() / eye_distance(others)


def test_points_lie_on_the_face(mesh):
    assert mesh.points.shape == (468, 3)
    assert mesh.score > 0.99
    assert 0 < mesh.spread < 0.03
    left, right, nose, chin = mesh.points[[33, 263, 1, 152]]
    assert left[0] < nose[0] < right[0]
    assert max(left[1], right[1]) < nose[1] < chin[1]
    assert nose[2] < min(left[2], right[2])  # nearer
    assert abs(fit_pose(mesh.points).angles_2d[0]) < 20


def test_a_rough_box_will_do(finder, photo, mesh):
    rough = finder.find(photo, Face(160, 60, 290, 190, 1.0))
    assert distance(rough.points, mesh.points) < 0.01


@pytest.mark.parametrize("moved", [(0, 0), (137, 61)])
def test_a_mirror_image_has_the_mirrored_mesh(finder, photo, mesh, moved):
    """The same face, mirrored, in a larger and darker picture."""
    x, y = moved
    around = np.zeros((photo.shape[0] + y, photo.shape[1] + x, 3), np.uint8)
    around[y:, x:] = photo[:, ::-1]
    face = Face(512 - FACE.right + x, FACE.top + y, 512 - FACE.left + x, FACE.bottom + y, 1.0)
    points = finder.find(around, face).points[mirrored()]
    wanted = mesh.points * [-1, 1, 1] + [512 + x, y, 0]
    assert distance(points, wanted) < 0.005


def test_a_turned_picture_has_the_turned_mesh(finder, photo, mesh):
    points = finder.find(np.rot90(photo).copy(), Face(65, 512 - 275, 200, 512 - 175, 1.0, _lying(mesh))).points
    wanted = np.column_stack([mesh.points[:, 1], 512 - mesh.points[:, 0], mesh.points[:, 2]])
    assert distance(points, wanted) < 0.01


def _lying(mesh: Mesh) -> np.ndarray:
    """What a detector says of the face in the picture turned to the left."""
    eyes_nose_mouth = mesh.points[[159, 386, 1, 61, 291]]
    return np.column_stack([eyes_nose_mouth[:, 1], 512 - eyes_nose_mouth[:, 0]])


@pytest.mark.parametrize("folder", ["portraits", "london"])
def test_agrees_with_known_meshes(finder, shared, folder):
    """Within 1 % of the eyes' distance (rms, in the picture), within 1.5 degrees of yaw; medians are 0.5 % and 0.3."""
    root = shared / "data" / folder
    data = np.load(root / "facemesh.npz", allow_pickle=False)
    detector = YuNet(shared / "weights/yunet_n_640_640.onnx")
    for index in range(0, len(data["name"]), len(data["name"]) // 5):
        photo = read_picture(root / str(data["name"][index]))[..., :3]
        found, known = finder.find(photo, detector.find(photo)[0]), data["points"][index].astype(float)
        error = np.sqrt(np.square((found.points - known)[:, :2]).sum(1).mean()) / eye_distance(known)
        assert error < 0.01
        assert fit_pose(found.points).angles_2d[0] == pytest.approx(data["yaw_pitch_roll_2d"][index, 0], abs=1.5)


def test_poses_are_those_of_known_meshes(shared):
    data = np.load(shared / "data/portraits/facemesh.npz", allow_pickle=False)
    for index in range(0, len(data["name"]), 100):
        pose = fit_pose(data["points"][index].astype(float))
        assert pose.angles == pytest.approx(data["yaw_pitch_roll"][index], abs=1e-4)
        assert pose.angles_2d == pytest.approx(data["yaw_pitch_roll_2d"][index], abs=1e-4)
        assert pose.fit_error == pytest.approx(data["fit_error"][index], abs=1e-5)


@pytest.mark.parametrize("angles", [(0, 0, 0), (30, 0, 0), (-50, 10, -5), (20, -15, 12)])
def test_pose_of_the_turned_canonical_face(angles):
    """Turned, enlarged and moved, in a picture's frame: y down, z away from the camera."""
    vertices, weights = canonical()
    assert weights.sum() == pytest.approx(1)
    yaw, pitch, roll = angles  # `rotation` has y down: the signs of its pitch are the other way round
    turn = rotation(yaw, 0, 0) @ rotation(0, pitch, 0) @ rotation(0, 0, roll)
    pose = fit_pose((vertices * [1, -1, 1] @ turn.T) * [7, 7, -7] + [100, 80, 3])
    assert pose.angles == pytest.approx(angles, abs=1e-6)
    assert pose.angles_2d == pytest.approx(angles, abs=1e-6)
    assert pose.fit_error == pytest.approx(0, abs=1e-9)


def test_mirrored_points():
    vertices, _ = canonical()
    assert np.array_equal(vertices[mirrored()], vertices * [-1, 1, 1])
    assert np.array_equal(mirrored()[mirrored()], np.arange(468))
    assert mirrored()[33] == 263
