"""From methods and metrics to everything the tables say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from deformcli import __version__
from deformcli.data.loading import Batch
from deformcli.metrics import SMALL_SET

from .measurements import GroundTruth, Label, Measurements, Method, Observer, measure
from .metrics import Column, ItemMetric
from .selection import INCEPTION, Selection
from .statistics import Comparison, Row, Worst, summarize, worst_groups


@dataclass(frozen=True)
class Evaluation:
    """Everything the tables say. Plain data."""

    about: Mapping[str, Any]
    """What was measured on what: items, people, seed, data, resizing, networks by id with their sha256."""
    columns: Sequence[Column]
    rows: Sequence[Row]
    comparisons: Sequence[Comparison]
    """On all items."""
    notes: Sequence[str]
    worst: Sequence[Worst] = ()
    """Of each method and metric, where items have labels."""

    def worst_of(self, method: str, metric: str) -> Worst | None:
        """The group on which a method did worst, if there is one."""
        return next((one for one in self.worst if (one.method, one.metric) == (method, metric)), None)

    @property
    def methods(self) -> list[str]:
        return list(dict.fromkeys(row.method for row in self.rows))

    def of_axis(self, axis: str) -> dict[str, list[Row]]:
        """group -> its rows."""
        groups: dict[str, list[Row]] = {}
        for row in self.rows:
            if row.axis == axis:
                groups.setdefault(row.group, []).append(row)
        return groups

    @property
    def axes(self) -> list[str]:
        return list(dict.fromkeys(row.axis for row in self.rows))


def evaluate(
    truth: GroundTruth,
    batches: Iterable[Batch],
    methods: Mapping[str, Method],
    selection: Selection,
    *,
    about: Mapping[str, Any],
    seed: int = 0,
    observe: Observer | None = None,
    labels: Mapping[str, Label] = MappingProxyType({}),
) -> tuple[Evaluation, Measurements]:
    """Measure every method on all batches once: the tables, and the numbers of every item behind them.

    `about` is what the items and methods are, in the words of the tables; `seed` is of the intervals' resamples. Items
    of one label are a group, beside those of angles or kinds.

    Raises:
        NothingToDoError: there is no item.
    """
    of_batch = {metric.column.name: metric.of_batch for metric in selection.metrics if isinstance(metric, ItemMetric)}
    found = measure(
        truth, batches, methods, of_batch, selection.describers, device=selection.device, observe=observe, labels=labels
    )
    values = {(one, metric.column.name): metric.of_items(found, one) for one in methods for metric in selection.metrics}
    found = replace(found, values=values)
    return tabulate(found, list(methods), selection, about=about, seed=seed), found


def tabulate(
    found: Measurements, methods: Sequence[str], selection: Selection, *, about: Mapping[str, Any], seed: int = 0
) -> Evaluation:
    """The tables of what was measured."""
    rows, comparisons = summarize(found, methods, selection.sets, seed)
    items, notes = len(found.groups), list(selection.notes)
    if items < SMALL_SET and selection.sets:
        notes.append(
            f"{items} items: below {SMALL_SET} a Frechet distance grows as they get fewer, so compare equal numbers"
        )
    counted: dict[str, object] = {"items": items, "people": len(set(found.people.tolist())), "seed": seed}
    if INCEPTION in selection.networks:
        counted["resized for Inception"] = "to 299 x 299, bilinear as in TensorFlow 1"
    ran = {"networks": selection.networks, "device": str(selection.device), "deform": __version__}
    columns = [metric.column for metric in [*selection.metrics, *selection.sets]]
    worst = worst_groups(rows, columns, found.labels)
    return Evaluation({**about, **counted, **ran}, columns, rows, comparisons, notes, worst)
