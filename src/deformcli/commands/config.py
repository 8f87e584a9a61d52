"""`deform config`: what the options are without flags, and who says so."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from deformcli import config
from deformcli.errors import UsageError
from deformcli.options import Json

from . import show

app = typer.Typer(help="Show the settings of files and environment.", no_args_is_help=True)


@app.command("show")
def show_settings(
    context: typer.Context,
    command: Annotated[str, typer.Argument(help="All options of one command, such as 'weights list'.")] = "",
    origin: Annotated[bool, typer.Option("--origin", help="Also say where each value comes from.")] = False,
    as_json: Json = False,
) -> None:
    """Show what is set. From the strongest: flags, DEFORM_*, ./deform.toml, the user's file, defaults."""
    files = config.read_files()
    options = config.option_settings(files, context.find_root().command, strict=False)
    if command and command not in {setting.command for setting in options}:
        raise UsageError(f"no command is called {command!r}", "see `deform --help`")
    if command:
        settings = [setting for setting in options if setting.command == command]
    else:
        chosen = [setting for setting in options if setting.origin != config.DEFAULT]
        settings = [*config.tool_settings(files), *chosen]
    show([asdict(setting) for setting in settings], (_line(setting, origin) for setting in settings), as_json)


def _line(setting: config.Setting, origin: bool) -> str:
    name = f"{setting.command}.{setting.name}".strip(".").replace(" ", ".")
    value = "-" if setting.value in (None, "") else setting.value
    return f"{name:<28} {value!s:<24} {setting.origin if origin else ''}".rstrip()
