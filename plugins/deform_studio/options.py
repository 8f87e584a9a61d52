"""The options of `deform studio`. Light: read whenever the command line is."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from deformcli import options
from deformcli.images import MAX_PIXELS

_server = partial(typer.Option, rich_help_panel="Server")
_weights = partial(typer.Option, metavar="ID|PATH", autocompletion=options.weights_ids)


@dataclass(frozen=True, kw_only=True)
class FileOptions:
    """What the page may read and where it may write."""

    source: Annotated[
        Path | None, typer.Argument(metavar="PHOTO|FOLDER", help="What is there to open; others can be dropped.")
    ] = None
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FOLDER", help="Where the page saves; by default, where PHOTO is, or here."
        ),
    ] = None
    frame: Annotated[int | None, typer.Option(min=1, help="Which page or frame of files that have several.")] = None
    max_pixels: Annotated[int, typer.Option(min=1, help="Refuse larger pictures.")] = MAX_PIXELS


@dataclass(frozen=True, kw_only=True)
class NetworkOptions:
    """Which weights are run, and where."""

    inpaint_weights: Annotated[str | None, _weights(help="What fills holes; see `deform weights list`.")] = None
    frontalize_weights: Annotated[str | None, _weights(help="What turns faces.")] = None
    device: options.Device = "auto"
    offline: options.Offline = False


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """Who can reach the page."""

    host: Annotated[str, _server(help="Address to listen at; one that others can reach needs --password-file.")] = (
        "127.0.0.1"
    )
    port: Annotated[int, _server(min=0, max=65535, help="0: one that is free.")] = 0
    password_file: Annotated[
        Path | None, _server(metavar="FILE", help="Ask for the password in its first line; for your eyes alone.")
    ] = None
    browser: Annotated[bool, _server("--browser/--no-browser", help="Open the page in the browser.")] = True
