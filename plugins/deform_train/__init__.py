"""`deform train RECIPE` and `deform runs`: train a task's networks, look at runs. Light: torch comes with the run."""

import typer

import deformcli

from .command import train
from .runs import app as runs


@deformcli.hookimpl
def register_commands(app: typer.Typer) -> None:
    app.command()(train)
    app.add_typer(runs, name="runs")
