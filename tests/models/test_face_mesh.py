"""FaceMesh is the network of its ONNX export, to the last digits."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from deformcli.data.files import read_picture
from deformcli.faces import Square, crop
from deformcli.models.face_mesh import FaceMesh
from deformcli.weights.networks import load_frozen
from deformcli.weights.store import resolve_weights


def crops(root: Path) -> np.ndarray:
    """Real faces (N, 192, 192, 3), by their known meshes."""
    data = np.load(root / "facemesh.npz", allow_pickle=False)
    found = []
    for name, points in list(zip(map(str, data["name"]), data["points"], strict=True))[::60]:
        low, high = points[:, :2].min(0), points[:, :2].max(0)
        square = Square(*(low + high) / 2, 1.5 * float((high - low).max()))
        found.append(crop(read_picture(root / name)[..., :3], square, FaceMesh.SIDE))
    return np.stack(found)


def test_outputs_are_those_of_the_onnx_file(shared):
    """Both compute in 32 bits: within 1e-3 pixels of 192; measured 2e-4 against onnxruntime."""
    image = crops(shared / "data/london").transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1
    reference = cv2.dnn.readNetFromONNX(str(shared / "weights/facemesh.onnx"))
    reference.setInput(image)
    wanted, wanted_score = reference.forward(["points", "score"])
    network = load_frozen(FaceMesh(), resolve_weights("face-mesh", task="mesh", offline=True))
    with torch.inference_mode():
        points, score = network(torch.from_numpy(image))
    assert np.ptp(wanted[..., 0]) > 90
    assert points.numpy() == pytest.approx(wanted, abs=1e-3)
    assert score.numpy() == pytest.approx(wanted_score.reshape(-1), abs=1e-4)


def test_shapes_and_score():
    torch.manual_seed(0)
    points, score = FaceMesh().eval()(torch.zeros(2, 3, 192, 192))
    assert points.shape == (2, 468, 3)
    assert score.shape == (2,)
    assert ((score > 0) & (score < 1)).all()
    assert sum(p.numel() for p in FaceMesh().parameters()) == 604_685
