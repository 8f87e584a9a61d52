"""`deform data`: what is in the data that `--data` names."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deformcli.errors import DeformError, PartialError, UsageError
from deformcli.options import Json, NoProgress
from deformcli.runtime import bar

if TYPE_CHECKING:
    from deformcli.data.check import Summary
    from deformcli.data.sources import Source

app = typer.Typer(help="Look at data sets.", no_args_is_help=True)
Specs = Annotated[list[str], typer.Argument(metavar="KIND:ROOT...", help="As in --data; see docs/data.md.")]
Sheet = Annotated[Path | None, typer.Option("--sheet", metavar="FILE.png", help="Write a contact sheet.")]
SHOWN = 20  # unreadable pictures


@app.callback()
def default() -> None:
    """Look at data sets."""


@app.command()
def check(specs: Specs, sheet: Sheet = None, as_json: Json = False, no_progress: NoProgress = False) -> None:
    """Read every picture: count them, people and sizes by split, and name those that cannot be read (exit 3)."""
    from deformcli.data.check import contact_sheet, summarize
    from deformcli.images import write_image

    sources = [opened for spec in specs for opened in _splits(spec)]
    summaries = [summarize(source, split, _each_read(source, not no_progress)) for split, source in sources]
    if as_json:
        typer.echo(json.dumps([_brief(summary) for summary in summaries], indent=2))
    else:
        typer.echo("\n".join(line for summary in summaries for line in _lines(summary)))
    if sheet is not None:
        write_image(contact_sheet([source for _, source in sources]), sheet)
    for train in (summary for summary in summaries if summary.split == "train"):
        for test in (other for other in summaries if other.split == "test" and other.spec == train.spec):
            if both := set(train.identities) & set(test.identities):
                raise DeformError(f"{train.spec}: {len(both)} people are in both splits", f"such as {min(both)}")
    if unreadable := sum(len(summary.unreadable) for summary in summaries):
        remedy = "repair or remove them; training skips them, with a warning"
        raise PartialError(f"{unreadable} pictures cannot be read", remedy)


def _splits(spec: str) -> Iterator[tuple[str, Source]]:
    """The splits of a data set, without one that is empty; if none is there, what is wrong."""
    from deformcli.data.spec import open_source

    found = []
    for split in ("train", "test"):
        try:
            found.append((split, open_source(spec, split)))
        except UsageError as error:
            failure = error
    if not found:
        raise failure
    return iter(found)


def _each_read(source: Source, shown: bool) -> Iterator[tuple[str, str]]:
    """What `read_all` sees, under a progress bar on a terminal."""
    from deformcli.data.check import pictures_of, read_all

    pictures = pictures_of(source)
    with bar(len(pictures), wanted=shown, what=source.spec) as advance:
        for facts in read_all(pictures, os.cpu_count() or 1):
            yield facts
            advance()


def _brief(summary: Summary) -> dict[str, Any]:
    """For JSON: how many people, not who."""
    return {**asdict(summary), "identities": len(summary.identities)}


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
