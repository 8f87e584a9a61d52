"""Intervals of means."""

from __future__ import annotations

import numpy as np
import pytest

from deformcli.evaluation import Column, Measurements, Row
from deformcli.evaluation.statistics import Worst, resampled_means, summarize, worst_groups


def test_bootstrap_draws_people():
    """Ten copies of four people's values are no more news than the four: the interval does not shrink."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(4, 1))
    few = resampled_means(values, np.arange(4), 0)
    many = resampled_means(np.repeat(values, 10, 0), np.repeat(np.arange(4), 10), 0)
    assert np.allclose(few, many)
    wide = resampled_means(rng.normal(size=(400, 1)), np.arange(400), 0)
    assert wide.std() == pytest.approx(1 / 20, rel=0.2), "the standard error of a mean of 400"


def test_items_of_one_label_are_a_group():
    values = {("net", "mse"): np.array([1.0, 2.0, 3.0, 6.0])}
    ages = np.array(["old", "young", "", "young"])
    found = Measurements(["x"] * 4, None, np.arange(4), values, {}, {"age": ages})
    rows, _ = summarize(found, ["net"], [], 0)
    assert [(row.axis, row.group, row.items, row.means["mse"]) for row in rows] == [
        ("all", "all", 4, 3.0),
        ("age", "old", 1, 1.0),
        ("age", "young", 2, 4.0),
    ]


def test_the_worst_group_of_all_labels():
    columns = [Column("mse", True), Column("ssim", False)]
    numbers = {("all", "all"): (9, 0), ("age", "old"): (1, 0.5), ("age", "young"): (3, 0.9), ("race", "b"): (2, np.nan)}
    rows = [
        Row("net", axis, group, 7, dict(zip(("mse", "ssim"), both, strict=True)), {})
        for (axis, group), both in numbers.items()
    ]
    assert worst_groups(rows, columns, ["age", "race"]) == [
        Worst("net", "mse", "age", "young", 7, 3),
        Worst("net", "ssim", "age", "old", 7, 0.5),
    ]
    assert worst_groups(rows, columns, []) == []
