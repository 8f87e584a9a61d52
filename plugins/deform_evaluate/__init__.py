"""`deform evaluate RECIPE`: measure weights on held-out data. Light: torch is imported when the command runs."""

import typer

import deformcli

from .command import evaluate


@deformcli.hookimpl
def register_commands(app: typer.Typer) -> None:
    app.command()(evaluate)
