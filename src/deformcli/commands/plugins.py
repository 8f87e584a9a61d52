"""`deform plugins`: what is installed, and why something is not there."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from .. import registry
from ..errors import UsageError
from ..options import Json

app = typer.Typer(help="Show the plugins, broken ones included.", invoke_without_command=True)


@app.callback()
def default(context: typer.Context) -> None:
    """Show the plugins, broken ones included."""
    if context.invoked_subcommand is None:
        list_plugins()


@app.command("list")
def list_plugins(as_json: Json = False) -> None:
    """List every plugin found, with its state."""
    records = registry.plugins().records
    if as_json:
        typer.echo(json.dumps([asdict(record) for record in records], indent=2))
        return
    for record in records:
        typer.echo(f"{record.name:<16} {record.status:<9} {_origin(record)}  {record.error}".rstrip())


@app.command()
def info(
    name: Annotated[str, typer.Argument(help="The plugin's name, as `deform plugins list` shows it.")],
    as_json: Json = False,
) -> None:
    """Show one plugin: where it comes from, which hooks it implements, what went wrong."""
    known = {record.name: record for record in registry.plugins().records}
    if name not in known:
        raise UsageError(f"no plugin is called {name!r}", f"known: {', '.join(sorted(known)) or 'none'}")
    record = asdict(known[name])
    if as_json:
        typer.echo(json.dumps(record, indent=2))
        return
    for key, value in record.items():
        typer.echo(f"{key:<13} {', '.join(value) if isinstance(value, tuple) else value}".rstrip())


def _origin(record: registry.PluginRecord) -> str:
    return f"{record.distribution} {record.version}".strip() or record.module
