"""The commands behind `deform runs`: what training left in its folders."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deformcli import options
from deformcli.errors import NothingToDoError

if TYPE_CHECKING:
    from deformcli.runs import Run

app = typer.Typer(help="Look at training runs.", no_args_is_help=True)
Folders = Annotated[list[Path], typer.Argument(metavar="DIR...", help="Folders of runs, or folders that hold some.")]
Page = Annotated[Path, typer.Option("--output", "-o", metavar="FILE.html", help="The page to write.")]
POINTS = 400  # of a curve


@app.command("list")
def list_runs(folders: Folders, as_json: options.Json = False) -> None:
    """One line per run: how far it is, its loss, its best error on the validation split."""
    runs = _runs(folders)
    if as_json:
        typer.echo(json.dumps([_facts(run) for run in runs], indent=2))
        return
    for run in runs:
        best = f"best {run.best['held_out_mse']:.5f} at {run.best['step']}" if run.best else "not measured"
        loss = f"loss {run.losses[-1]['total']:.4f}" if run.losses else "no losses yet"
        typer.echo(f"{run.folder!s:<24} {run.recipe:<11} {run.step:>7}/{run.steps or '?':<7} {loss:<18} {best}")


@app.command()
def show(folder: Annotated[Path, typer.Argument(metavar="DIR", help="A run.")], as_json: options.Json = False) -> None:
    """One run: what was asked for, how it stands, and the last of each number in its log."""
    facts = _facts(_runs([folder])[0])
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
        return
    for key, value in _flat(facts):
        typer.echo(f"{key} = {value}")


@app.command()
def compare(folders: Folders, output: Page = Path("runs.html")) -> None:
    """Draw the curves of all runs into one page, a chart for each number in their logs."""
    from deformcli.runtime import write_atomic, writing

    made = _page(_runs(folders)).encode()
    with writing(output, "free some space, or choose another place with -o"):
        write_atomic(output, made)
    typer.echo(str(output))


def _runs(folders: list[Path]) -> list[Run]:
    from deformcli.runs import find_runs

    found = [run for folder in folders for run in find_runs(folder)]
    if not found:
        raise NothingToDoError(f"no run in {', '.join(map(str, folders))}", "name folders that `deform train` wrote")
    return found


def _facts(run: Run) -> dict[str, object]:
    last: dict[str, object] = {}
    for line in run.log:
        last |= line
    return {"folder": str(run.folder), **run.about, "last": last, "best": run.best}


def _flat(values: dict[str, object], prefix: str = "") -> list[tuple[str, object]]:
    rows: list[tuple[str, object]] = []
    for key, value in values.items():
        rows += _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else [(f"{prefix}{key}", value)]
    return rows


def _page(runs: Sequence[Run]) -> str:
    """HTML that needs nothing else: a chart for each number that the runs' logs hold, with a line for each run."""
    from deformcli.pages import Line, legend, line_chart, render

    charts = []
    for name in dict.fromkeys(name for run in runs for line in run.log for name in line if name != "step"):
        curves = [_thinned(run, name) for run in runs]
        if any(curves):
            end = max(step for points in curves for step, _ in points)
            lines, ticks = [Line(points) for points in curves], [(end, f"{end} steps")]
            charts.append(line_chart(name, lines, over="steps", ends=(0, end), ticks=ticks))
    names = [f"{run.folder}: {run.recipe}, {run.step} steps" for run in runs]
    return render(__package__, "curves.html", title="deform runs", legend=legend, runs=names, charts=charts)


def _thinned(run: Run, name: str) -> list[tuple[float, float]]:
    """At most POINTS points, each the mean of its neighbours."""
    points = [(line["step"], line[name]) for line in run.log if _is_number(line.get(name))]
    group = max(1, -(-len(points) // POINTS))
    groups = [points[i : i + group] for i in range(0, len(points), group)]
    return [(part[-1][0], sum(value for _, value in part) / len(part)) for part in groups]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
