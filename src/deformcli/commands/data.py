"""`deform data`: what is in the data that `--data` names, and meshes of faces for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deformcli import runtime, weights
from deformcli.errors import DeformError, NothingToDoError, PartialError, UsageError
from deformcli.options import Json, NetworkOptions, NoProgress, spread

from . import show

if TYPE_CHECKING:
    from deformcli.data.check import Summary
    from deformcli.data.sources import Source

app = typer.Typer(help="Look at data sets, and make ready photos of one's own.", no_args_is_help=True)
Specs = Annotated[list[str], typer.Argument(metavar="KIND[:ROOT]...", help="As in --data; see docs/data.md.")]
Sheet = Annotated[Path | None, typer.Option("--sheet", metavar="FILE.png", help="Write a contact sheet.")]
Photos = Annotated[Path, typer.Argument(metavar="PHOTOS", help="Folder of photos; those below count too.")]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE.npz", help="To write; default: PHOTOS/facemesh.npz.")
]
Finder = Annotated[
    str, typer.Option("--detector", metavar="mtcnn|yunet|FILE.onnx", help="What finds the faces, as in frontalize.")
]
SHOWN = 20  # unreadable pictures
SAVED_EVERY = 200  # photos


@app.command()
def check(specs: Specs, sheet: Sheet = None, as_json: Json = False, no_progress: NoProgress = False) -> None:
    """Read every picture: count them, people and sizes by split, and name those that cannot be read (exit 3)."""
    from deformcli.data import located
    from deformcli.data.check import contact_sheet, pictures_of, summarize
    from deformcli.images import write_image

    sources = [opened for spec in located(specs) for opened in _splits(spec)]
    summaries = []
    for split, source in sources:
        with runtime.bar(len(pictures_of(source)), wanted=not no_progress) as advance:
            summaries.append(summarize(source, split, advance))
    brief = [{**asdict(one), "identities": len(one.identities)} for one in summaries]  # how many people, not who
    show(brief, (line for summary in summaries for line in _lines(summary)), as_json)
    if sheet is not None:
        write_image(contact_sheet([source for _, source in sources]), sheet)
    for one, other in combinations(summaries, 2):
        if one.spec == other.spec and (both := set(one.identities) & set(other.identities)):
            cause = f"{one.spec}: {len(both)} people are in both splits, {one.split} and {other.split}"
            raise DeformError(cause, f"such as {min(both)}")
    if unreadable := sum(len(summary.unreadable) for summary in summaries):
        remedy = "repair or remove them; training skips them, with a warning"
        raise PartialError(f"{unreadable} pictures cannot be read", remedy)


@app.command()
@spread
def mesh(
    photos: Photos,
    network: NetworkOptions,
    output: Output = None,
    detector: Finder = "mtcnn",
    as_json: Json = False,
    no_progress: NoProgress = False,
) -> None:
    """Find the 468-point mesh of the largest face in each photo, for rotated: and synthesize photos (exit 3: not all).

    A rerun does what is missing.
    """
    from deformcli.data.meshes import MESHES, find_meshes, photo_names, read_meshes, write_meshes
    from deformcli.faces import MeshFinder, find_detector

    names, path = photo_names(photos), output or photos / MESHES
    there, device = read_meshes(path), runtime.choose_device(network.device)
    rows = {name: there[name] for name in names if name in there}
    missing = [name for name in names if name not in there]
    failed: dict[str, DeformError] = {}
    if missing:
        finder = MeshFinder(
            weights.resolve_weights(network.weights or "face-mesh", task="mesh", offline=network.offline), device
        )
        found = find_meshes(photos, missing, find_detector(detector, str(device)), finder)
        try:
            with runtime.bar(len(names), len(rows), wanted=not no_progress) as advance:
                for count, (name, row) in enumerate(found, 1):
                    (failed if isinstance(row, DeformError) else rows)[name] = row  # type: ignore[index,assignment]
                    if count % SAVED_EVERY == 0:
                        write_meshes(path, rows)
                    advance()
        finally:
            if rows:
                write_meshes(path, rows)
    _tell(path, len(rows), len(missing) - len(failed), failed, as_json)


def _tell(path: Path, meshes: int, new: int, failed: dict[str, DeformError], as_json: bool) -> None:
    """Say what was found, name what was not; raise if something is missing."""
    faceless = [name for name, error in failed.items() if isinstance(error, NothingToDoError)]
    unreadable = [name for name in failed if name not in faceless]
    told = {"file": str(path), "meshes": meshes, "new": new, "faceless": faceless, "unreadable": unreadable}
    show(told, (), as_json)
    runtime.log.info("%s meshes in %s, %s of them new", meshes, path, new)
    for error in list(failed.values())[:SHOWN]:
        typer.echo(f"  {error.cause}", err=True)
    if len(failed) > SHOWN:
        typer.echo(f"  and {len(failed) - SHOWN} more without a mesh (all of them: --json)", err=True)
    if failed:
        cause = f"{len(failed)} photos have no mesh: {len(faceless)} without a face, {len(unreadable)} unreadable"
        kind = PartialError if meshes else NothingToDoError if faceless else DeformError
        raise kind(cause, "try --detector yunet, repair them, or leave them out: those with a mesh can be used")


def _splits(spec: str) -> list[tuple[str, Source]]:
    """The splits of a data set, without one that is empty; if none is there, what is wrong."""
    from deformcli.data.spec import open_source
    from deformcli.data.splits import SPLITS

    found = []
    for split in SPLITS:
        try:
            found.append((split, open_source(spec, split)))
        except UsageError as error:
            failure = error
    if not found:
        raise failure
    return found


def _lines(summary: Summary) -> Iterator[str]:
    counts = [f"{summary.pictures} pictures"]
    if summary.pairs is not None:
        counts.append(f"{summary.pairs} pairs")
    if summary.identities:
        counts.append(f"{len(summary.identities)} identities")
    commonest = [f"{size} ({count})" for size, count in list(summary.sizes.items())[:3]]
    more = f" and {len(summary.sizes) - 3} other sizes" if len(summary.sizes) > 3 else ""
    yield f"{summary.spec} {summary.split}: {', '.join(counts)}; {', '.join(commonest)}{more}"
    yield from (f"  {problem}" for problem in summary.unreadable[:SHOWN])
    if len(summary.unreadable) > SHOWN:
        yield f"  and {len(summary.unreadable) - SHOWN} more that cannot be read (all of them: --json)"
