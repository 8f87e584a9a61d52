"""`deform plugins`: what is installed, and why something is not there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from deformcli import registry, weights
from deformcli.errors import PluginError, UsageError, one_line
from deformcli.options import Json

from . import show

Check = tuple[str, bool, str]
app = typer.Typer(invoke_without_command=True)


@app.callback()
def default(context: typer.Context) -> None:
    """Show the plugins, broken ones included."""
    if context.invoked_subcommand is None:
        list_plugins()


@app.command("list")
def list_plugins(as_json: Json = False) -> None:
    """List every plugin found, with its state."""
    records = registry.plugins().records
    show([asdict(record) for record in records], (line for record in records for line in _lines(record)), as_json)


@app.command()
def info(
    name: Annotated[str, typer.Argument(help="The plugin's name, as `deform plugins list` shows it.")],
    as_json: Json = False,
) -> None:
    """Show one plugin: where it comes from, which hooks it implements, what went wrong."""
    *_, record = _records([name])  # of namesakes the last one, which says who has the name
    described = asdict(record) | {"remedy": record.remedy}
    words = {key: ", ".join(value) if isinstance(value, tuple) else value for key, value in described.items()}
    show(described, (f"{key:<13} {value}" for key, value in words.items() if value), as_json)


@app.command()
def check(
    names: Annotated[list[str] | None, typer.Argument(help="Plugins; all by default.")] = None, as_json: Json = False
) -> None:
    """Import everything that plugins bring, their heavy parts too; exit 6 where something is wrong."""
    results = [(record.name, *result) for record in _records(names) for result in _check(record)]
    data = [{"plugin": name, "what": what, "ok": ok, "detail": detail} for name, what, ok, detail in results]
    lines = (f"{'ok ' if ok else 'BAD'} {name:<16} {what:<24} {detail}".rstrip() for name, what, ok, detail in results)
    show(data, lines, as_json)
    if bad := sorted({name for name, _, ok, _ in results if not ok}):
        raise PluginError(f"not well: {', '.join(bad)}", "the lines marked BAD say why; see `deform plugins info NAME`")


def _records(names: list[str] | None) -> list[registry.PluginRecord]:
    records = registry.plugins().records
    known = {record.name for record in records}
    for name in names or ():
        if name not in known:
            raise UsageError(f"no plugin is called {name!r}", f"known: {', '.join(sorted(known)) or 'none'}")
    return [record for record in records if not names or record.name in names]


def _check(record: registry.PluginRecord) -> Iterator[Check]:
    if record.status != "loaded":
        detail = f"{record.error} (fix: {record.remedy})" if record.error else ""
        yield record.status, record.status == "disabled", detail
        return
    plugin = registry.plugins().manager.get_plugin(record.name)
    for hook in record.hooks:
        try:
            yield from _check_hook(hook, getattr(plugin, hook))
        except registry.FAILURES as error:
            yield hook, False, one_line(error)


def _check_hook(hook: str, implementation: Any) -> Iterator[Check]:
    if hook == "register_commands":
        yield hook, True, ""  # they have been added, or the plugin would have been set aside
    elif hook == "doctor":
        yield from implementation()
    elif hook == "register_weights":
        for entry in weights.read_manifest(Path(implementation())).values():
            ok = entry.source != "bundled" or bool(weights.verified_file(entry, again=True))
            yield entry.id, ok, entry.source
    else:
        for name, spec in implementation().items():
            registry.resolve(spec)
            yield name, True, spec


def _lines(record: registry.PluginRecord) -> Iterator[str]:
    origin = f"{record.distribution} {record.version}".strip() or record.module
    yield f"{record.name:<16} {record.status:<9} {origin}  {record.error}".rstrip()
    if record.remedy:
        yield f"{'':<16} fix: {record.remedy}"
