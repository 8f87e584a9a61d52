"""Gallery and probes by hand."""

from __future__ import annotations

import numpy as np
import torch

from deformcli.metrics.perceptual import perceptual_distance
from deformcli.metrics.recognition import identity_cosine, rank1

NORTH, EAST, BETWEEN = [0.0, 1.0], [1.0, 0.0], [0.8, 0.6]


def test_rank1_looks_up_the_nearest_of_the_gallery():
    """Person 7's first picture is the gallery's; its second, though nearer to the last probe, is not in it."""
    people = np.array([7, 3, 7, 7])
    targets = np.array([NORTH, EAST, BETWEEN, BETWEEN])
    probes = np.array([NORTH, BETWEEN, EAST, BETWEEN])
    assert rank1(probes, targets, people).tolist() == [1, 1, 0, 0]


def test_rank1_among_further_people():
    """Whoever is nearer to one of them than to their own is not recognised."""
    people, targets = np.array([7, 3, 7, 3]), np.array([NORTH, EAST, NORTH, EAST])
    probes, others = np.array([NORTH, BETWEEN, EAST, BETWEEN]), np.array([BETWEEN])
    assert rank1(probes, targets, people).tolist() == [1, 1, 0, 1]
    assert rank1(probes, targets, people, others).tolist() == [1, 0, 0, 0]
    assert rank1(probes, targets, people, np.zeros((0, 2))).tolist() == [1, 1, 0, 1]


def test_cosine():
    assert np.allclose(identity_cosine(np.array([NORTH, BETWEEN]), np.array([EAST, EAST])), [0, 0.8])


def test_perceptual_distance_by_hand():
    """Opposite unit vectors are 4 apart, orthogonal ones 2; lengths do not count, layers add up."""
    a = torch.tensor([1.0, 0.0]).view(1, 2, 1, 1).expand(1, 2, 3, 3)
    assert perceptual_distance([a, a], [-5 * a, a.flip(1)]).tolist() == [6]
    assert perceptual_distance([a], [7 * a]).tolist() == [0]
