"""`deform evaluate`: how good pictures are, in numbers and to look at. Light: torch is imported when a command runs."""

import typer

import deformcli

from . import command


@deformcli.hookimpl
def register_commands(app: typer.Typer) -> None:
    app.add_typer(command.app, name="evaluate")
