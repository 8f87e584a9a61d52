"""From methods and options to an evaluation, and from there to the terminal and files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import typer
from torch import Tensor

from deformcli.data import Batch
from deformcli.errors import PartialError, UsageError
from deformcli.evaluation import Evaluation, Label, Method, Selection, evaluate, measure_sets, select_metrics, tabulate
from deformcli.recipes import Predictor
from deformcli.runtime import bar, choose_device, write_atomic, writing

from .folders import Folder, Folders
from .options import MetricOptions, TableOptions, listed
from .page import Album, to_html
from .tables import show, to_csv, to_json, to_latex


def run(
    truth: Predictor | Folders,
    batches: Iterable[Batch],
    methods: Mapping[str, Method],
    metrics: MetricOptions,
    tables: TableOptions,
    about: Mapping[str, Any],
    *,
    holes: bool = False,
    predictors: Mapping[str, Predictor] | None = None,
    gallery: Iterable[Tensor] = (),
    left_out: Mapping[str, int] = MappingProxyType({}),
    labels: Mapping[str, Label] = MappingProxyType({}),
) -> None:
    """Measure every method on all batches, and put it into tables and files; `about` is what they are of.

    `left_out` counts items that turn out to be unreadable on the way, by what is wrong with them.

    Raises PartialError if there are any, when all is written.
    """
    selection = _selection(metrics, listed(metrics.metrics), holes=holes, predictors=predictors, gallery=gallery)
    album = Album(truth.pictures) if tables.html else None
    shown = _shown(batches, not tables.no_progress)
    evaluation, found = evaluate(
        truth, shown, methods, selection, about=about, seed=metrics.seed, observe=album, labels=labels
    )
    if left_out:
        cause = f"{sum(left_out.values())} items cannot be read, and are left out"
        evaluation = replace(
            evaluation, about={**evaluation.about, "left out": dict(left_out)}, notes=[*evaluation.notes, cause]
        )
    if tables.html and album:
        _write(tables.html, to_html(evaluation, found, album))
    _tell(evaluation, tables)
    if left_out:
        raise PartialError(cause, "repair them or take them away; the tables are of the others")


def run_sets(
    name: str, made: Folder, true: Folder, metrics: MetricOptions, tables: TableOptions, about: Mapping[str, Any]
) -> None:
    """Measure one set of pictures against another. Raises UsageError if that is not what was asked for."""
    if tables.html:
        raise UsageError("--html shows pairs, and --unpaired has none", "leave it out; --json, --csv and --latex serve")
    selection = _selection(metrics, listed(metrics.metrics) or ["fid", "kid"])
    if selection.metrics:
        names = ", ".join(metric.column.name for metric in selection.metrics)
        raise UsageError(f"--unpaired measures sets, not pairs: {names}", "choose among fid, kid, is and --features")
    ours, theirs = (_shown(folder, not tables.no_progress) for folder in (made, true))
    found = measure_sets(name, ours, theirs, made, selection.describers, device=selection.device)
    _tell(tabulate(found, [name], selection, about=about, seed=metrics.seed), tables)


def _selection(metrics: MetricOptions, names: Sequence[str], **of_items: Any) -> Selection:
    networks = {name: getattr(metrics, name) for name in ("identity", "perceptual", "lpips")}
    features, device = metrics.features or (), choose_device(metrics.device)
    return select_metrics(
        names, device, **networks, features=features, seed=metrics.seed, offline=metrics.offline, **of_items
    )


def _tell(evaluation: Evaluation, tables: TableOptions) -> None:
    if tables.csv:
        _write(tables.csv, to_csv(evaluation))
    if tables.latex:
        _write(tables.latex, to_latex(evaluation))
    if tables.as_json:
        typer.echo(to_json(evaluation))
    else:
        show(evaluation)


def _write(path: Path, text: str) -> None:
    with writing(path):
        write_atomic(path, text.encode())


def _shown(batches: Iterable[Batch], progress: bool) -> Iterator[Batch]:
    """The batches, with a bar on stderr if that is a terminal."""
    with bar(len(batches), wanted=progress) as advance:  # type: ignore[arg-type]
        for batch in batches:
            yield batch
            advance()
