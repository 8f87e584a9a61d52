"""Distances of sets: torch-fidelity's own numbers with a toy network, and Gaussians of which the answer is known."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
import torch_fidelity
from torch.utils.data import TensorDataset
from torch_fidelity.feature_extractor_base import FeatureExtractorBase
from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY

from deformcli.metrics.fidelity import frechet_distance, inception_score, kernel_distance


class Toy(FeatureExtractorBase):
    """The mean colours of a picture's quarters, twelve numbers."""

    def __init__(self, name, features_list, **kwargs):
        super().__init__(name, features_list)

    @staticmethod
    def get_provided_features_list():
        return ("quarters",)

    @staticmethod
    def get_default_feature_layer_for_metric(metric):
        return "quarters"

    @staticmethod
    def can_be_compiled():
        return False

    def forward(self, picture):
        return (torch.nn.functional.adaptive_avg_pool2d(picture.float() / 255, 2).flatten(1),)


class Pictures(TensorDataset):
    def __getitem__(self, index):
        return super().__getitem__(index)[0]


@pytest.fixture
def toy() -> Iterator[str]:
    torch_fidelity.register_feature_extractor("toy", Toy)
    yield "toy"
    del FEATURE_EXTRACTORS_REGISTRY["toy"]


def pictures(seed: int, count: int, high: int) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randint(0, high, (count, 3, 8, 8), generator=rng, dtype=torch.uint8)


@pytest.mark.parametrize("count", [40, 9], ids=["more items than features", "fewer"])
def test_as_torch_fidelity_computes_them(toy, count):
    first, second = pictures(0, count, 256), pictures(1, count, 200)
    settings = {"fid": True, "kid": True, "isc": True, "kid_subsets": 1, "kid_subset_size": count, "rng_seed": 0}
    inputs = {"input1": Pictures(first), "input2": Pictures(second)}
    theirs = torch_fidelity.calculate_metrics(
        **inputs,
        **settings,
        feature_extractor=toy,
        isc_splits=min(10, count),
        save_cpu_ram=True,
        cuda=False,
        verbose=False,
    )
    a, b = (Toy("toy", ["quarters"])(x)[0].numpy() for x in (first, second))
    assert frechet_distance(a, b) == pytest.approx(theirs["frechet_inception_distance"], rel=1e-4)
    assert kernel_distance(a, b) == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-4)
    assert inception_score(a) == pytest.approx(theirs["inception_score_mean"], rel=1e-5)


def test_frechet_distance_of_two_gaussians():
    """Axis by axis: (m1 - m2)^2 + (s1 - s2)^2; the samples are made to have exactly these moments."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(200, 4))
    white = (noise - noise.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(noise, rowvar=False))).T
    rotation = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    m1, m2, s1, s2 = np.array([1.0, -2, 0, 3]), np.array([0.0, 1, 4, 3]), np.array([1.0, 2, 3, 4]), np.full(4, 2.0)
    a, b = ((white * s + m) @ rotation for s, m in ((s1, m1), (s2, m2)))
    expected = ((m1 - m2) ** 2).sum() + ((s1 - s2) ** 2).sum()
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)
    padded = [np.concatenate([x, np.zeros((200, 300))], 1) for x in (a, b)]  # more features than items
    assert frechet_distance(*padded) == pytest.approx(expected, rel=1e-6)


def test_sets_that_are_one():
    a = np.random.default_rng(0).normal(size=(50, 6))
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-6)
    assert kernel_distance(a, a) < 0.1
    assert frechet_distance(a[:2], a[:2]) == pytest.approx(0, abs=1e-6)


def test_inception_score_by_hand():
    """Certain of a class each, all classes alike often: as many as there are classes. Certain of nothing: 1."""
    sure = np.tile(np.eye(5, dtype=np.float32) * 100, (400, 1))
    assert inception_score(sure) == pytest.approx(5, rel=0.05)
    assert inception_score(np.zeros((20, 5), np.float32)) == pytest.approx(1)
