"""`deform synthesize`: training data with exact flow. Light: numpy and torch are imported when a command runs."""

import typer

import deformcli

from .command import app


@deformcli.hookimpl
def register_commands(app: typer.Typer, synthesize: typer.Typer = app) -> None:
    app.add_typer(synthesize, name="synthesize")
