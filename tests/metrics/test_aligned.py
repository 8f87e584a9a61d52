"""Faces laid over one another: place, size, turn and light do not count, everything else does."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from deformcli.metrics import aligned_mse, landmark_error
from deformcli.metrics.aligned import overlaid, similarity

RNG = np.random.default_rng(0)
GOAL = torch.from_numpy(RNG.uniform(20, 76, (2, 468, 2)))
FACE = torch.zeros(2, 1, 96, 96)
FACE[..., 24:72, 24:72] = 1


def moved(points: torch.Tensor, turn: float, scale: float, shift: tuple[float, float]) -> torch.Tensor:
    angle = np.radians(turn)
    rotation = scale * torch.tensor([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return points @ rotation + torch.tensor(shift)


def smooth(seed: int) -> torch.Tensor:
    """Pictures (2, 3, 96, 96) of a few waves."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:96, :96] / 96
    waves = [sum(np.sin(2 * np.pi * (a * x + b * y) + c) for a, b, c in rng.uniform(-2, 2, (3, 3))) for _ in range(6)]
    return torch.from_numpy(np.reshape(waves, (2, 3, 96, 96)) / 4).float()


@pytest.mark.parametrize(("turn", "scale", "shift"), [(0, 1, (0, 0)), (17, 1.4, (-9, 5)), (-80, 0.3, (100, 0))])
def test_place_size_and_turn_of_landmarks_do_not_count(turn, scale, shift):
    assert landmark_error(moved(GOAL, turn, scale, shift), GOAL) == pytest.approx([0, 0], abs=1e-9)


def test_landmark_error_is_in_percent_of_the_eyes_distance():
    points = GOAL.clone()
    points[0, ::2] += torch.tensor([0.3, 0.0])
    points[0, 1::2] -= torch.tensor([0.3, 0.0])
    eyes = (GOAL[0, 263] - GOAL[0, 33]).norm()
    error = landmark_error(points, GOAL)
    assert float(error[0]) == pytest.approx(float(100 * 0.3 / eyes), rel=0.05)  # the similarity takes a little off
    assert float(error[1]) == pytest.approx(0, abs=1e-9)


def test_similarity_is_that_of_least_squares():
    """Against the normal equations of x' = a x - b y + c, y' = b x + a y + d."""
    points = GOAL.flip(0)
    factor, shift = similarity(points, GOAL)
    for one in range(2):
        x, y = points[one].T.numpy()
        ones, zeros = np.ones_like(x), np.zeros_like(x)
        system = np.concatenate([np.stack([x, -y, ones, zeros], 1), np.stack([y, x, zeros, ones], 1)])
        wanted = np.linalg.lstsq(system, GOAL[one].T.numpy().ravel(), rcond=None)[0]
        found = [factor[one].real, factor[one].imag, shift[one].real, shift[one].imag]
        assert [float(value) for value in found] == pytest.approx(wanted.tolist())


def test_overlaid_brings_points_to_their_places():
    """A dot lies where the similarity of its picture's points takes it."""
    points = moved(GOAL, 20, 0.8, (6, -4))
    at = points[:, 5]
    y, x = torch.meshgrid(torch.arange(96) + 0.5, torch.arange(96) + 0.5, indexing="ij")
    dots = torch.stack([torch.exp(-((x - px) ** 2 + (y - py) ** 2) / 8) for px, py in at])[:, None].expand(
        -1, 3, -1, -1
    )
    laid = overlaid(dots.float(), points, GOAL)[:, 0]
    for one in range(2):
        weight = laid[one] / laid[one].sum()
        assert [float((weight * x).sum()), float((weight * y).sum())] == pytest.approx(GOAL[one, 5].tolist(), abs=0.1)


def test_place_and_light_of_a_face_do_not_count():
    target = smooth(1)
    points = moved(GOAL, 8, 1.1, (3, -2))
    image = overlaid(target, GOAL, points) * torch.tensor([0.5, 1.2, 0.9]).view(3, 1, 1) + 0.1
    image[..., :8, :8] = 1  # outside the face
    assert aligned_mse(image, target, points, GOAL, FACE).max() < 2e-4
    assert aligned_mse(image, target, GOAL, GOAL, FACE).min() > 0.004


def test_what_is_in_the_face_counts():
    target = smooth(1)
    same, other = (aligned_mse(image, target, GOAL, GOAL, FACE) for image in (target, smooth(2)))
    assert same == pytest.approx([0, 0], abs=1e-9)
    assert (other > 0.02).all()
    image = target.clone()
    image[0, :, 40:50, 40:50] += 0.5
    found = aligned_mse(image, target, GOAL, GOAL, FACE)
    assert found[0] > 1e-3 and found[1] == pytest.approx(0, abs=1e-9)


def test_flat_pictures_are_no_trouble():
    flat = torch.full((2, 3, 96, 96), 0.3)
    assert torch.isfinite(aligned_mse(flat, smooth(1), GOAL, GOAL, FACE)).all()
    assert torch.isfinite(landmark_error(torch.zeros_like(GOAL), GOAL)).all()
