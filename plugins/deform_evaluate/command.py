"""The command behind `deform evaluate`."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deformcli import options, registry
from deformcli.errors import UsageError

if TYPE_CHECKING:
    from deformcli.engine.evaluator import Row

Data = Annotated[list[str], typer.Option("--data", metavar="KIND:PATH", help="Where the pictures are; may repeat.")]
Weights = Annotated[
    list[str] | None,
    typer.Option(
        "--weights", metavar="ID|PATH", help="What to measure; may repeat.", autocompletion=options.weights_ids
    ),
]
Metrics = Annotated[str, typer.Option("--metrics", help="Which metrics, separated by commas.")]
Size = Annotated[int, typer.Option("--size", min=32, help="Side of the pictures in pixels.")]


def evaluate(
    recipe: options.Recipe,
    data: Data,
    weights: Weights = None,
    metrics: Metrics = "mse,psnr,ssim",
    size: Size = 128,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    offline: options.Offline = False,
    as_json: options.Json = False,
) -> None:
    """Measure weights on the held-out split, beside the task's baselines on the same items."""
    kind = registry.choose("recipe", recipe, registry.recipes())

    from deformcli.data.spec import open_items
    from deformcli.engine.device import choose_device
    from deformcli.engine.evaluator import evaluate as run
    from deformcli.metrics import LOWER_IS_BETTER, METRICS
    from deformcli.weights import resolve_weights

    names, known = metrics.split(","), {**registry.metrics(), **METRICS}
    if not set(names) <= set(known):
        raise UsageError(f"--metrics {metrics}: not all known", f"known: {', '.join(sorted(known))}")
    chosen = {name: registry.resolve(judge) if isinstance(judge := known[name], str) else judge for name in names}
    place = choose_device(device)
    rows: list[Row] = []
    for position, name in enumerate(weights or [kind.default_weights]):
        task = kind.from_weights(resolve_weights(name, task=recipe, offline=offline))
        task.config = replace(task.config, training=replace(task.config.training, size=size, seed=seed))
        task.generator.to(place)
        methods = {name: task.predict, **(task.baselines() if position == 0 else {})}
        rows += run(task, open_items(task, data, "test"), methods, chosen, place)
    if as_json:
        typer.echo(json.dumps([_finite(asdict(row)) for row in rows], indent=2))
    else:
        lower = [name for name, judge in chosen.items() if getattr(judge, "lower_is_better", name in LOWER_IS_BETTER)]
        _print_table(rows, list(chosen), lower)


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    """JSON has no infinity: the PSNR of equal pictures becomes null."""
    return {**row, "means": {name: v if math.isfinite(v) else None for name, v in row["means"].items()}}


def _print_table(rows: list[Row], metrics: list[str], lower: list[str]) -> None:
    """One line per group and method, the best of each group in bold."""
    from rich.console import Console
    from rich.table import Table

    arrows = {metric: "↓" if metric in lower else "↑" for metric in metrics}
    table = Table("group", "method", "items", *(f"{metric} {arrow}" for metric, arrow in arrows.items()))
    for group in dict.fromkeys(row.group for row in rows):
        members = [row for row in rows if row.group == group]
        best = {m: (min if m in lower else max)(row.means[m] for row in members) for m in metrics}
        for row in members:
            cells = [_cell(row.means[m], row.means[m] == best[m]) for m in metrics]
            table.add_row(group, row.method, str(row.items), *cells)
        table.add_section()
    Console().print(table)


def _cell(value: float, best: bool) -> str:
    text = f"{value:.5f}" if abs(value) < 1 else f"{value:.2f}"
    return f"[bold]{text}[/bold]" if best else text
