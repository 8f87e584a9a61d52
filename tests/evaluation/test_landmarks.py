"""Metrics of faces' meshes on real faces: nothing of what was done to the picture escapes, nothing else counts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from deformcli.evaluation import select_metrics
from deformcli.evaluation.landmarks import METRICS
from deformcli.faces import crop, frontal_square

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def target() -> torch.Tensor:
    """A frontal crop (1, 3, 128, 128), framed as in training."""
    from skimage.data import astronaut

    square = frontal_square(np.array([203.0, 108]), np.array([247.0, 110]), np.array([225.0, 158]))
    return torch.from_numpy(crop(astronaut(), square)).permute(2, 0, 1)[None].float() / 127.5 - 1


@pytest.fixture(scope="module")
def measure(target):
    """`measure(image)` -> the value of each metric."""
    selection = select_metrics(METRICS, CPU, offline=True)
    assert list(selection.networks) == ["face-mesh"] and not selection.notes

    def values(image: torch.Tensor) -> dict[str, float]:
        return {one.column.name: float(one.of_batch(image, target, {})) for one in selection.metrics}

    return values


def test_the_true_picture_has_no_error(measure, target):
    values = measure(target)
    assert values["aligned-mse"] == pytest.approx(0, abs=1e-9)
    assert values["landmarks"] == pytest.approx(0, abs=1e-9)
    assert values["residual-yaw"] < 15


def test_a_moved_picture_of_other_light_hardly_has_one(measure, target):
    theta = torch.tensor([[[1.05, 0.06, 0.03], [-0.06, 1.05, -0.02]]])
    grid = F.affine_grid(theta, list(target.shape), align_corners=False)
    values = measure(F.grid_sample(target, grid, padding_mode="border", align_corners=False) * 0.8 + 0.05)
    assert values["aligned-mse"] < 0.002
    assert values["landmarks"] < 1.5


def test_a_squeezed_face_has_one(measure, target):
    theta = torch.tensor([[[1.4, 0, 0], [0, 1.0, 0]]])
    grid = F.affine_grid(theta, list(target.shape), align_corners=False)
    values = measure(F.grid_sample(target, grid, padding_mode="border", align_corners=False))
    assert values["landmarks"] > 3
    assert values["aligned-mse"] > 0.002


def test_columns(measure):
    selection = select_metrics(["landmarks", "mse"], CPU, offline=True)
    assert sorted(one.column.title for one in selection.metrics) == ["landmarks ↓", "mse ↓"]
    assert selection.networks.keys() == {"face-mesh"}


def test_turned_faces_have_a_residual_yaw(shared):
    from deformcli.data import open_source

    pairs = [open_source(f"rotated:{shared}/data/london", "test").data.pair(index, 128, None) for index in (3, 4, 5, 6)]
    image, target = (torch.stack([getattr(pair, name) for pair in pairs]) for name in ("image", "target"))
    yaw = next(one for one in select_metrics(["residual-yaw"], CPU).metrics)
    turned, frontal = (yaw.of_batch(picture, target, {}) for picture in (image, target))
    assert (frontal < 10).all()
    assert turned.numpy() == pytest.approx([30, 15, 15, 30], abs=9)
