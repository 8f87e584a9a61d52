"""`deform weights`: which networks there are, where their files are, and whether they are whole."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from .. import options
from ..errors import WeightsError
from ..options import Json, Offline

app = typer.Typer(help="Show and check the networks' weights.", invoke_without_command=True)
Id = Annotated[
    str, typer.Argument(help="The weights' id, as `deform weights list` shows it.", autocompletion=options.weights_ids)
]


@app.callback()
def default(context: typer.Context) -> None:
    """Show and check the networks' weights."""
    if context.invoked_subcommand is None:
        list_weights()


@app.command("list")
def list_weights(as_json: Json = False) -> None:
    """List every network of the manifests and whether its file is on this machine."""
    from ..weights import manifest

    entries = list(manifest().values())
    if as_json:
        typer.echo(json.dumps([describe(entry) for entry in entries], indent=2))
        return
    for entry in entries:
        place = "here" if find_file(entry) else "not here"
        typer.echo(f"{entry.id:<28} {entry.task:<12} {entry.source:<9} {place:<9} {entry.status}")


@app.command()
def info(name: Id, as_json: Json = False) -> None:
    """Show one network: what it was trained on, what was measured, its licence, its size."""
    from ..weights import find_entry

    described = describe(find_entry(name))
    if as_json:
        typer.echo(json.dumps(described, indent=2))
        return
    for key, value in described.items():
        if value not in ("", None, {}):
            typer.echo(f"{key:<12} {_words(value)}")


@app.command()
def path(name: Id, offline: Offline = False) -> None:
    """Write the path of the verified local file, downloading it where needed."""
    from ..weights import resolve_weights

    typer.echo(str(resolve_weights(name, offline=offline)))


@app.command()
def verify(
    names: Annotated[list[str] | None, typer.Argument(help="Ids; all that are on this machine by default.")] = None,
    as_json: Json = False,
) -> None:
    """Compare the checksums of local files anew."""
    from ..weights import find_entry, manifest, verified_file

    entries = [find_entry(name) for name in names] if names else [e for e in manifest().values() if find_file(e)]
    verdicts = {}
    for entry in entries:
        try:
            verified_file(entry, offline=True, again=True)
            verdicts[entry.id] = "ok"
        except WeightsError as error:
            verdicts[entry.id] = error.cause
    if as_json:
        typer.echo(json.dumps(verdicts, indent=2))
    else:
        typer.echo("".join(f"{name:<28} {verdict}\n" for name, verdict in verdicts.items()), nl=False)
    if wrong := sorted(name for name, verdict in verdicts.items() if verdict != "ok"):
        raise WeightsError(f"not whole: {', '.join(wrong)}", "reinstall their package or download them again")


def find_file(entry: Any) -> Path | None:
    """The entry's local file, or None: a package that is not installed is no error here."""
    from ..weights import local_file

    try:
        return local_file(entry)
    except WeightsError:
        return None


def describe(entry: Any) -> dict[str, Any]:
    """The entry as plain data, with its local file and the parameter counts where that is here."""
    from ..weights import parameter_counts

    here = find_file(entry)
    counts = parameter_counts(here) if here else {}
    return asdict(entry) | {"manifest": str(entry.manifest), "local": str(here) if here else None, "parameters": counts}


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_words(item)}" for key, item in value.items())
    return f"{value:,}" if type(value) is int else str(value)
