"""`deform weights`: which networks there are, where their files are, whether they are whole, and moving them about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from deformcli import registry, runtime, weights
from deformcli.errors import UsageError, WeightsError
from deformcli.options import Json, Offline, weights_ids

from . import show

app = typer.Typer(invoke_without_command=True)
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


# What there is


@app.command("list")
def list_weights(as_json: Json = False) -> None:
    """List every network of the manifests: size, licence, quality, and whether its file is on this machine."""
    entries = weights.all_weights().values()
    described = [_described(entry) for entry in entries] if as_json else ()  # it opens their files
    show(described, (line for entry in entries for line in _lines(entry)), as_json)


@app.command()
def info(name: Id, as_json: Json = False) -> None:
    """Show one network: what it was trained on, what was measured, its licence, its size."""
    described = _described(weights.find_entry(name))
    told = {key: value for key, value in described.items() if value not in ("", 0, None, {})}
    show(described, (f"{key:<12} {_words(value)}" for key, value in told.items()), as_json)


@app.command()
def fetch(names: Ids, as_json: Json = False) -> None:
    """Download and verify weights, so that they can be used offline later on."""
    entries = [weights.find_entry(name) for name in names]
    _show({entry.id: str(weights.verified_file(entry)) for entry in entries}, as_json)


@app.command()
def path(name: Id, offline: Offline = False) -> None:
    """Write the path of the verified local file, downloading it where needed."""
    typer.echo(str(weights.verified_file(weights.find_entry(name), offline=offline)))


@app.command()
def verify(names: IdsHere = None, as_json: Json = False) -> None:
    """Compare the checksums of local files anew."""
    verdicts = {}
    for entry in _entries(names):
        try:
            weights.verified_file(entry, offline=True, again=True)
            verdicts[entry.id] = "ok" if entry.sha256 else "ok (no checksum is known)"
        except WeightsError as error:
            verdicts[entry.id] = error.cause
    _show(verdicts, as_json)
    if wrong := sorted(name for name, verdict in verdicts.items() if not verdict.startswith("ok")):
        raise WeightsError(f"not whole: {', '.join(wrong)}", "reinstall their package or download them again")


# Removed


@app.command()
def rm(names: Ids) -> None:
    """Remove downloaded, imported and added weights from this machine."""
    paths = [path for name in names for path in _removable(weights.find_entry(name))]
    runtime.log.info("%s bytes are free again", f"{weights.remove(paths):,}")
    weights.forget(names)


@app.command()
def prune(dry_run: DryRun = False) -> None:
    """Remove what no manifest names: old revisions, unfinished and quarantined downloads."""
    entries = weights.all_weights().values()
    if broken := [record.name for record in registry.plugins().records if record.status in ("broken", "missing")]:
        cause = f"not every plugin loads ({', '.join(broken)}): their weights would count as superfluous"
        raise UsageError(cause, "repair or uninstall them first")
    paths = list(weights.superfluous(entries))
    typer.echo("".join(f"{path}\n" for path in paths), nl=False)
    if not dry_run:
        runtime.log.info("%s bytes are free again", f"{weights.remove(paths):,}")


# Moved between machines


@app.command()
def export(output: Tar, names: IdsHere = None) -> None:
    """Write verified weights into one tar, for a machine without a network."""
    entries = _entries(names)
    files = {entry.id: weights.verified_file(entry) for entry in entries}
    if not files:
        raise UsageError("no weights are on this machine", "name ids, which are then downloaded")
    with runtime.writing(output, kind=UsageError):
        weights.write_archive(output, files, [entry for entry in entries if weights.is_own(entry)])


@app.command("import")
def import_weights(
    tar: Annotated[Path, typer.Argument(help="A tar that `deform weights export` wrote.")], as_json: Json = False
) -> None:
    """Take the weights of a tar over, if every checksum is right; somebody's own become one's own."""
    files = weights.read_archive(tar, weights.weights_dir(), weights.all_weights())
    _show({file.stem: str(file) for file in files}, as_json)


# One's own


@app.command()
def convert(
    file: Annotated[Path, typer.Argument(help="A pickle of tensors: .pt, .pth, .ckpt, .bin.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="By default FILE's name.safetensors.")] = None,
) -> None:
    """Turn a pickle into a .safetensors file, in a process of its own that loads tensors and nothing else."""
    output = output or file.with_suffix(".safetensors")
    weights.convert(file, output)
    typer.echo(str(output))


@app.command()
def add(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A folder that `deform train` wrote.")],
    name: Annotated[str, typer.Option("--id", help="The weights' id; by default the folder's name.")] = "",
    licence: Annotated[str, typer.Option("--licence", help="Under which others may use them.")] = "not stated",
    trained_on: Annotated[str, typer.Option("--trained-on", help="The data in words; by default --data.")] = "",
    replace: Annotated[bool, typer.Option("--replace", help="Take the place of added weights of that id.")] = False,
) -> None:
    """Give the best weights of a run an id, for --weights and `deform weights publish`."""
    entry = weights.add_run(run, name, licence, trained_on, replace)
    runtime.log.info("%s: use it with --weights %s", entry.id, entry.id)


@app.command()
def publish(
    repo: Annotated[str, typer.Argument(metavar="REPO", help="owner/name on the Hugging Face Hub.")],
    name: Id,
    private: Annotated[bool, typer.Option("--private", help="Make a new repository a private one.")] = False,
) -> None:
    """Upload added weights with a model card, and write their table for a manifest to stdout. Needs HF_TOKEN."""
    entry = weights.find_entry(name)
    if not weights.is_own(entry):
        raise UsageError(f"the weights {entry.id} are not your own", "add a run first: deform weights add RUN")
    published = weights.upload(entry, weights.verified_file(entry, offline=True), repo, private=private)
    weights.put(published)
    typer.echo(weights.as_toml(published), nl=False)


def _entries(names: list[str] | None) -> list[Any]:
    """The named entries, or those whose files are here."""
    if names:
        return [weights.find_entry(name) for name in names]
    return [entry for entry in weights.all_weights().values() if weights.local_file(entry)]


def _removable(entry: Any) -> list[Path]:
    """The files to remove with an entry, links and what they lead to: all of one's own, of others one in the cache."""
    found = [path for path in (weights.own_file(entry), weights.hub_file(entry)) if path and path.is_file()]
    if not weights.is_own(entry):
        found = [path for path in found if runtime.cache_dir() in path.parents][:1]
        if not found:
            raise UsageError(f"the weights {entry.id} are not in the cache", "only what is in the cache is removed")
    return [file for path in found for file in (path.resolve(), *([path] if path.is_symlink() else []))]


def _described(entry: Any) -> dict[str, Any]:
    """The entry as plain data, with its local file, the parameter counts of that, or what is wrong with it."""
    here = weights.local_file(entry)
    counts, problem = {}, ""
    try:
        counts = weights.parameter_counts(here) if here and entry.format == "safetensors" else {}
    except WeightsError as error:
        problem = error.cause
    found = {"local": str(here) if here else None, "parameters": counts, "problem": problem}
    return asdict(entry) | {"manifest": str(entry.manifest)} | found


def _lines(entry: Any) -> Iterator[str]:
    place = "here" if weights.local_file(entry) else "not here"
    size = f"{entry.size / 1e6:.1f} MB" if entry.size else "-"
    yield f"{entry.id:<22} {entry.task:<11} {size:>9}  {place:<8}  {entry.status}; {entry.licence}"
    if summary := entry.metrics.get("summary"):
        yield f"{'':<22} {summary}"


def _show(told: dict[str, str], as_json: bool) -> None:
    show(told, (f"{name:<22} {value}" for name, value in told.items()), as_json)


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_words(item)}" for key, item in value.items())
    return f"{value:,}" if type(value) is int else str(value)
