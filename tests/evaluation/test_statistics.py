"""Intervals of means."""

from __future__ import annotations

import numpy as np
import pytest

from deformcli.evaluation.statistics import resampled_means


def test_bootstrap_draws_people():
    """Ten copies of four people's values are no more news than the four: the interval does not shrink."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(4, 1))
    few = resampled_means(values, np.arange(4), 0)
    many = resampled_means(np.repeat(values, 10, 0), np.repeat(np.arange(4), 10), 0)
    assert np.allclose(few, many)
    wide = resampled_means(rng.normal(size=(400, 1)), np.arange(400), 0)
    assert wide.std() == pytest.approx(1 / 20, rel=0.2), "the standard error of a mean of 400"
