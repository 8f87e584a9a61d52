"""The options that leaf commands share, as Typer annotations: `def command(inputs: Inputs, output: Output, ...)`."""

from __future__ import annotations

from typing import Annotated

import typer

from .batch import Exists as _Exists
from .batch import OnError as _OnError


def recipe_names() -> list[str]:
    """What completes a recipe."""
    from .registry import recipes

    return sorted(recipes())


def weights_ids(context: typer.Context) -> list[str]:
    """What completes weights, those of the command's task if there are any; a shell offers files where none fits."""
    from .manifest import manifest

    entries = manifest().values()
    return sorted([entry.id for entry in entries if entry.task == context.info_name] or (entry.id for entry in entries))


Inputs = Annotated[list[str], typer.Argument(help="Files, folders or patterns such as 'photos/*.jpg'.")]
Output = Annotated[str, typer.Option("--output", "-o", help="A file for one input, otherwise a folder.")]
Recursive = Annotated[bool, typer.Option("--recursive", "-r", help="Search the folders below input folders too.")]
Exists = Annotated[
    _Exists | None,
    typer.Option("--exists", help="What to do where the output is there already (one file: error, several: skip)."),
]
OnError = Annotated[_OnError, typer.Option("--on-error", help="After a failure, go on with the next file or stop.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be written, and write nothing.")]
ReportFile = Annotated[str | None, typer.Option("--report", metavar="FILE.jsonl", help="One JSON line per file.")]
MaxPixels = Annotated[int, typer.Option("--max-pixels", min=1, help="Refuse larger pictures.")]
Quality = Annotated[int | None, typer.Option("--quality", min=1, max=100, help="Of JPEG and WebP.")]
Device = Annotated[
    str,
    typer.Option(
        "--device", help="auto, cpu, cuda, cuda:N or mps.", autocompletion=lambda: ["auto", "cpu", "cuda", "mps"]
    ),
]
Weights = Annotated[
    str | None,
    typer.Option("--weights", metavar="ID|PATH|ID=PATH", help="See `deform weights list`.", autocompletion=weights_ids),
]
Recipe = Annotated[str, typer.Argument(help="The task.", autocompletion=recipe_names)]
Offline = Annotated[bool, typer.Option("--offline", help="Do not use the network.")]
Json = Annotated[bool, typer.Option("--json", help="Write JSON to stdout.")]
NoProgress = Annotated[bool, typer.Option("--no-progress", help="Show no progress bar.")]
Seed = Annotated[int, typer.Option("--seed", help="Of every random choice.")]
