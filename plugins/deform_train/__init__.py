"""`deform train RECIPE`: train a task's networks. Light: torch is imported when the command runs."""

import typer

import deformcli

from .command import train


@deformcli.hookimpl
def register_commands(app: typer.Typer) -> None:
    app.command()(train)
