"""`deform studio`: a page in the browser to paint masks and to turn faces. Light: the server comes with the command."""

import typer

import deformcli

from .command import studio


@deformcli.hookimpl
def register_commands(app: typer.Typer) -> None:
    app.command()(studio)
