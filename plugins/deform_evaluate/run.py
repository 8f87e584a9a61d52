"""From methods and options to a report, and from there to the terminal and files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import track

from deformcli import __version__
from deformcli.data import Batch
from deformcli.errors import DeformError
from deformcli.evaluation.measure import Method, measure
from deformcli.metrics import SMALL_SET
from deformcli.recipes import Predictor
from deformcli.runtime.device import choose_device
from deformcli.runtime.storage import write_atomic

from . import terminal, writers
from .album import Album
from .metrics import choose
from .options import Judging, Tables
from .page import to_html
from .statistics import Column, Report, item_values, summarize


def judge(
    task: Any,
    batches: Iterable[Batch],
    methods: Mapping[str, Method],
    judging: Judging,
    tables: Tables,
    about: Mapping[str, Any],
    *,
    holes: bool,
    recipes: Mapping[str, Predictor],
) -> None:
    """Measure every method on all batches, and put it into tables and files; `about` is what they are of."""
    device = choose_device(judging.device)
    chosen = choose(judging, holes=holes, recipes=recipes, device=device)
    judges = {metric.name: metric.judge for metric in chosen.metrics if metric.judge}
    album = Album(task) if tables.html else None
    shown = _shown(batches, not tables.no_progress)
    found = measure(task, shown, methods, judges, chosen.describers, device=device, observe=album)
    values = item_values(found, list(methods), chosen.metrics)
    rows, comparisons = summarize(found, values, list(methods), chosen.metrics, judging.seed)
    columns = [Column(metric.name, metric.lower_is_better, metric.network) for metric in chosen.metrics]
    items, notes = len(found.groups), list(chosen.notes)
    if items < SMALL_SET and any(metric.of_set for metric in chosen.metrics):
        notes.append(
            f"{items} items: below {SMALL_SET} a Frechet distance grows as they get fewer, so compare equal numbers"
        )
    counted = {"items": items, "people": len(set(found.people.tolist())), "seed": judging.seed}
    if "inception-v3-fid" in chosen.networks:
        counted["resized for Inception"] = "to 299 x 299, bilinear as in TensorFlow 1"
    ran = {"networks": chosen.networks, "device": str(device), "deform": __version__}
    report = Report({**about, **counted, **ran}, columns, rows, comparisons, notes)
    if tables.csv:
        _write(tables.csv, writers.to_csv(report))
    if tables.latex:
        _write(tables.latex, writers.to_latex(report))
    if tables.html and album:
        _write(tables.html, to_html(report, album, values, found.groups))
    if tables.as_json:
        typer.echo(writers.to_json(report))
    else:
        terminal.show(report)


def _write(path: Path, text: str) -> None:
    try:
        write_atomic(path, text.encode())
    except OSError as error:
        raise DeformError(f"{path} cannot be written: {error.strerror}", "choose another place") from error


def _shown(batches: Iterable[Batch], progress: bool) -> Iterable[Batch]:
    """The batches, with a bar on stderr if that is a terminal."""
    console = Console(stderr=True)
    return track(batches, "measuring", console=console) if progress and console.is_terminal else batches
