"""From measurements of single items to the tables: means, intervals, comparisons. Plain data from here on."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np

from .measurements import Measurements
from .metrics import Column, SetMetric

ALL = "all"
RESAMPLES = 1000
Interval = tuple[float, float]
Key = tuple[str, str]
"""Method and metric."""


@dataclass(frozen=True)
class Row:
    """How one method did on the `items` of one group."""

    method: str
    axis: str
    """What the group is one of: "all", "yaw", "|yaw|", "kind" or the name of a label."""
    group: str
    items: int
    means: Mapping[str, float]
    """Column -> mean, or the one number of a metric of sets."""
    intervals: Mapping[str, Interval]
    """Column -> bootstrap 95 % interval of the mean; metrics of sets have none."""


@dataclass(frozen=True)
class Worst:
    """The group of any label on whose items a method did worst."""

    method: str
    metric: str
    axis: str
    group: str
    items: int
    mean: float


@dataclass(frozen=True)
class Comparison:
    """The mean difference of two methods over the same items, one minus other, with its 95 % interval."""

    one: str
    other: str
    metric: str
    difference: float
    interval: Interval

    @property
    def is_clear(self) -> bool:
        return self.interval[0] > 0 or self.interval[1] < 0


def summarize(
    found: Measurements, methods: Sequence[str], sets: Sequence[SetMetric], seed: int
) -> tuple[list[Row], list[Comparison]]:
    """Rows of every group and method, and the comparisons of every two methods on all items.

    Intervals are percentiles of the means of 1,000 resamples. People are drawn, not items: the views of one person are
    alike, and counting each as news would make the intervals too narrow. All methods share the resamples.
    """
    names = list(dict.fromkeys(name for _, name in found.values))
    table = np.stack(list(found.values.values()), 1) if names else np.zeros((len(found.groups), 0))
    rows: list[Row] = []
    comparisons: list[Comparison] = []
    for axis, group, members in _groups(found):
        means = dict(zip(found.values, table[members].mean(0).tolist(), strict=True))
        resampled = dict(zip(found.values, resampled_means(table[members], found.people[members], seed).T, strict=True))
        for method in methods:
            numbers = {name: means[method, name] for name in names}
            numbers |= {metric.column.name: metric.of_set(found, method, members) for metric in sets}
            intervals = {name: _interval(resampled[method, name]) for name in names}
            rows.append(Row(method, axis, group, int(members.sum()), numbers, intervals))
        if group == ALL:
            comparisons += _comparisons(methods, means, resampled)
    return rows, comparisons


def _comparisons(
    methods: Sequence[str], means: Mapping[Key, float], resampled: Mapping[Key, np.ndarray]
) -> Iterator[Comparison]:
    for one, other in combinations(methods, 2):
        for metric in dict.fromkeys(metric for _, metric in means):
            a, b = (one, metric), (other, metric)
            yield Comparison(one, other, metric, means[a] - means[b], _interval(resampled[a] - resampled[b]))


def resampled_means(values: np.ndarray, people: np.ndarray, seed: int) -> np.ndarray:
    """Means (RESAMPLES, K) of `values` (N, K) over people (N,) drawn with replacement, each with all their items."""
    _, person = np.unique(people, return_inverse=True)
    count = int(person.max()) + 1
    sums = np.zeros((count, values.shape[1]))
    np.add.at(sums, person, values)
    items = np.bincount(person, minlength=count)
    rng, means = np.random.default_rng(seed), []
    for _ in range(0, RESAMPLES, 100):  # in parts: the draws of many people are a large table
        draws = rng.multinomial(count, np.full(count, 1 / count), 100)  # (100, people)
        with np.errstate(invalid="ignore"):  # of infinite values the mean is infinite, the interval unknown
            means.append(draws @ sums / (draws @ items)[:, None])
    return np.concatenate(means)


def _interval(means: np.ndarray) -> Interval:
    if not np.isfinite(means).all():
        return math.nan, math.nan
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)


def _groups(found: Measurements) -> Iterator[tuple[str, str, np.ndarray]]:
    """(axis, group, its members as (N,) bool): all items; every angle, to the nearest 15 degrees; every kind."""
    yield ALL, ALL, np.ones(len(found.groups), bool)
    if found.yaws is not None:
        yaws = np.round(found.yaws / 15).astype(int) * 15
        for axis, sign, angles in (("yaw", "+", yaws), ("|yaw|", "±", abs(yaws))):
            for angle in np.unique(angles):
                yield axis, f"{sign if angle > 0 else ''}{angle}°", angles == angle
    elif len(set(found.groups)) > 1:
        for group in dict.fromkeys(found.groups):
            yield "kind", group, np.array(found.groups) == group
    for name, values in found.labels.items():
        for value in sorted(set(values.tolist()) - {""}):
            yield name, value, values == value


def worst_groups(rows: Sequence[Row], columns: Sequence[Column], labels: Collection[str]) -> list[Worst]:
    """Of each method and metric with a number, among the groups of all labels."""
    groups = [row for row in rows if row.axis in labels]
    worst = []
    for method, column in product(dict.fromkeys(row.method for row in groups), columns):
        own = {row.means[column.name]: row for row in groups if row.method == method}
        if means := [mean for mean in own if math.isfinite(mean)]:
            mean = max(means) if column.lower_is_better else min(means)
            row = own[mean]
            worst.append(Worst(method, column.name, row.axis, row.group, row.items, mean))
    return worst
