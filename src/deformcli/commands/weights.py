"""`deform weights`: which networks there are, where their files are, whether they are whole, and moving them about."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from deformcli.errors import UsageError, WeightsError
from deformcli.options import Json, Offline, weights_ids

app = typer.Typer(help="Show, fetch, check and move the networks' weights.", invoke_without_command=True)
_WHICH = "as `deform weights list` shows them"
Id = Annotated[str, typer.Argument(help=f"The weights' id, {_WHICH}.", autocompletion=weights_ids)]
Ids = Annotated[list[str], typer.Argument(help=f"Ids, {_WHICH}.", autocompletion=weights_ids)]
IdsHere = Annotated[
    list[str] | None,
    typer.Argument(help="Ids; all that are on this machine by default.", autocompletion=weights_ids),
]
Tar = Annotated[Path, typer.Option("--output", "-o", metavar="FILE.tar", help="The tar to write.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be removed, and remove nothing.")]


@app.callback()
def default(context: typer.Context) -> None:
    """Show, fetch, check and move the networks' weights."""
    if context.invoked_subcommand is None:
        list_weights()


@app.command("list")
def list_weights(as_json: Json = False) -> None:
    """List every network of the manifests: size, licence, quality, and whether its file is on this machine."""
    from deformcli.weights.manifest import all_weights

    entries = list(all_weights().values())
    if as_json:
        typer.echo(json.dumps([describe(entry) for entry in entries], indent=2))
        return
    for entry in entries:
        place = "here" if find_file(entry) else "not here"
        size = f"{entry.size / 1e6:.1f} MB" if entry.size else "-"
        typer.echo(f"{entry.id:<22} {entry.task:<11} {size:>9}  {place:<8}  {entry.status}; {entry.licence}")
        if summary := entry.metrics.get("summary"):
            typer.echo(f"{'':<22} {summary}")


@app.command()
def info(name: Id, as_json: Json = False) -> None:
    """Show one network: what it was trained on, what was measured, its licence, its size."""
    from deformcli.weights.manifest import find_entry

    described = describe(find_entry(name))
    if as_json:
        typer.echo(json.dumps(described, indent=2))
        return
    for key, value in described.items():
        if value not in ("", 0, None, {}):
            typer.echo(f"{key:<12} {_words(value)}")


@app.command()
def fetch(names: Ids, as_json: Json = False) -> None:
    """Download and verify weights, so that they can be used offline later on."""
    from deformcli.weights.manifest import find_entry
    from deformcli.weights.store import verified_file

    found = {name: str(verified_file(entry)) for name, entry in {name: find_entry(name) for name in names}.items()}
    _show(found, as_json)


@app.command()
def path(name: Id, offline: Offline = False) -> None:
    """Write the path of the verified local file, downloading it where needed."""
    from deformcli.weights.manifest import find_entry
    from deformcli.weights.store import verified_file

    typer.echo(str(verified_file(find_entry(name), offline=offline)))


@app.command()
def verify(names: IdsHere = None, as_json: Json = False) -> None:
    """Compare the checksums of local files anew."""
    from deformcli.weights.store import verified_file

    verdicts = {}
    for entry in _entries(names):
        try:
            verified_file(entry, offline=True, again=True)
            verdicts[entry.id] = "ok" if entry.sha256 else "ok (no checksum is known)"
        except WeightsError as error:
            verdicts[entry.id] = error.cause
    _show(verdicts, as_json)
    if wrong := sorted(name for name, verdict in verdicts.items() if not verdict.startswith("ok")):
        raise WeightsError(f"not whole: {', '.join(wrong)}", "reinstall their package or download them again")


@app.command()
def rm(names: Ids) -> None:
    """Remove downloaded, imported and added weights from this machine."""
    from deformcli.runtime.storage import cache_dir
    from deformcli.weights.hub import hub_file, remove
    from deformcli.weights.manifest import find_entry
    from deformcli.weights.own import forget
    from deformcli.weights.store import own_file

    paths: list[Path] = []
    for entry in map(find_entry, names):
        path = next((p for p in (own_file(entry), hub_file(entry)) if p.is_file() and cache_dir() in p.parents), None)
        if path is None:
            raise UsageError(f"the weights {entry.id} are not in the cache", "only what is in the cache is removed")
        paths += [path.resolve(), *([path] if path.is_symlink() else [])]  # in the Hub's cache `path` is a link
    typer.echo(f"{remove(paths):,} bytes are free again", err=True)
    forget(names)


@app.command()
def prune(dry_run: DryRun = False) -> None:
    """Remove what no manifest names: old revisions, unfinished and quarantined downloads."""
    from deformcli import registry
    from deformcli.weights.hub import remove, superfluous
    from deformcli.weights.manifest import all_weights

    entries = all_weights().values()
    if broken := [record.name for record in registry.plugins().records if record.status in ("broken", "missing")]:
        cause = f"not every plugin loads ({', '.join(broken)}): their weights would count as superfluous"
        raise UsageError(cause, "repair or uninstall them first")
    paths = list(superfluous(entries))
    typer.echo("".join(f"{path}\n" for path in paths), nl=False)
    if not dry_run:
        typer.echo(f"{remove(paths):,} bytes are free again", err=True)


@app.command()
def export(output: Tar, names: IdsHere = None) -> None:
    """Write verified weights into one tar, for a machine without a network."""
    from deformcli.runtime.storage import writing
    from deformcli.weights.archive import write_archive
    from deformcli.weights.store import verified_file

    files = {entry.id: verified_file(entry) for entry in _entries(names)}
    if not files:
        raise UsageError("no weights are on this machine", "name ids, which are then downloaded")
    with writing(output, kind=UsageError):
        write_archive(output, files)


@app.command("import")
def import_weights(
    tar: Annotated[Path, typer.Argument(help="A tar that `deform weights export` wrote.")], as_json: Json = False
) -> None:
    """Take the weights of a tar over, if every checksum is right."""
    from deformcli.weights.archive import read_archive
    from deformcli.weights.manifest import all_weights, weights_dir

    _show({path.stem: str(path) for path in read_archive(tar, weights_dir(), all_weights())}, as_json)


@app.command()
def convert(
    file: Annotated[Path, typer.Argument(help="A pickle of tensors: .pt, .pth, .ckpt, .bin.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="By default FILE's name.safetensors.")] = None,
) -> None:
    """Turn a pickle into a .safetensors file, in a process of its own that loads tensors and nothing else."""
    from deformcli.weights.pickles import convert as run

    output = output or file.with_suffix(".safetensors")
    run(file, output)
    typer.echo(str(output))


@app.command()
def add(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A folder that `deform train` wrote.")],
    name: Annotated[str, typer.Option("--id", help="The weights' id; by default the folder's name.")] = "",
    licence: Annotated[str, typer.Option("--licence", help="Under which others may use them.")] = "not stated",
    trained_on: Annotated[str, typer.Option("--trained-on", help="The data in words; by default --data.")] = "",
) -> None:
    """Give the best weights of a run an id, for --weights and `deform weights publish`."""
    from deformcli.weights.own import add_run

    entry = add_run(run, name, licence, trained_on)
    typer.echo(f"{entry.id}: use it with --weights {entry.id}", err=True)


@app.command()
def publish(
    repo: Annotated[str, typer.Argument(metavar="REPO", help="owner/name on the Hugging Face Hub.")],
    name: Id,
    private: Annotated[bool, typer.Option("--private", help="Make a new repository a private one.")] = False,
) -> None:
    """Upload added weights with a model card, and write their table for a manifest to stdout. Needs HF_TOKEN."""
    from deformcli.weights.manifest import find_entry
    from deformcli.weights.own import as_toml, own_manifest, put
    from deformcli.weights.publish import publish as upload
    from deformcli.weights.store import verified_file

    entry = find_entry(name)
    if entry.manifest != own_manifest():
        raise UsageError(f"the weights {entry.id} are not your own", "add a run first: deform weights add RUN")
    published = upload(entry, verified_file(entry, offline=True), repo, private)
    put(published)
    typer.echo(as_toml(published), nl=False)


def find_file(entry: Any) -> Path | None:
    """The entry's local file, or None: a package that is not installed is no error here."""
    from deformcli.weights.store import local_file

    try:
        return local_file(entry)
    except WeightsError:
        return None


def describe(entry: Any) -> dict[str, Any]:
    """The entry as plain data, with its local file and the parameter counts where that is here."""
    from deformcli.weights.store import parameter_counts

    here = find_file(entry)
    counts = parameter_counts(here) if here else {}
    return asdict(entry) | {"manifest": str(entry.manifest), "local": str(here) if here else None, "parameters": counts}


def _entries(names: list[str] | None) -> list[Any]:
    """The named entries, or those whose files are here."""
    from deformcli.weights.manifest import all_weights, find_entry

    return [find_entry(name) for name in names] if names else [e for e in all_weights().values() if find_file(e)]


def _show(lines: dict[str, str], as_json: bool) -> None:
    text = "".join(f"{name:<22} {value}\n" for name, value in lines.items())
    typer.echo(json.dumps(lines, indent=2) if as_json else text, nl=as_json)


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_words(item)}" for key, item in value.items())
    return f"{value:,}" if type(value) is int else str(value)
