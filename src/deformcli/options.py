"""The options that leaf commands share, as Typer annotations: `def command(recipe: Recipe, offline: Offline = False)`.

Those that come in groups are dataclasses; `spread` makes a command of a function that takes such groups:

    @app.command()
    @options.spread
    def swirl(files: options.BatchOptions, turns: float = 0.5) -> None: ...
"""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, is_dataclass
from typing import Annotated, Any, Literal

import typer

from deformcli import registry, weights
from deformcli.images.formats import MAX_PIXELS


def weights_ids(context: typer.Context) -> list[str]:
    """What completes weights, those of the command's task if there are any; a shell offers files where none fits."""
    entries = weights.all_weights().values()
    return sorted([entry.id for entry in entries if entry.task == context.info_name] or (entry.id for entry in entries))


Data = Annotated[
    list[str],
    typer.Option("--data", metavar="KIND[:ROOT]", help="Where the pictures are; may repeat. See docs/data.md."),
]
Masks = Annotated[
    str | None,
    typer.Option(
        "--masks",
        metavar="KIND[:ROOT]",
        help="What hides pixels: strokes, strokes:thin, strokes:thick, objects, text, qd-imd:ROOT, folder:PATH; "
        "several with commas.",
    ),
]
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
Recipe = Annotated[str, typer.Argument(help="The task.", autocompletion=lambda: sorted(registry.recipes()))]
Offline = Annotated[bool, typer.Option("--offline", help="Do not use the network.")]
Json = Annotated[bool, typer.Option("--json", help="Write JSON to stdout.")]
NoProgress = Annotated[bool, typer.Option("--no-progress", help="Show no progress bar.")]
Seed = Annotated[int, typer.Option("--seed", help="Of every random choice.")]


@dataclass(frozen=True, kw_only=True)
class NetworkOptions:
    """Which weights a command runs, and where."""

    weights: Weights = None
    device: Device = "auto"
    offline: Offline = False


def _frame(value: str | None) -> str | None:
    if value not in (None, "all") and not (value.isdecimal() and int(value) > 0):
        raise typer.BadParameter(f"{value} is neither a number from 1 nor all")
    return value


_files = functools.partial(typer.Option, rich_help_panel="Files")
_work = functools.partial(typer.Option, rich_help_panel="Work")


@dataclass(frozen=True, kw_only=True)
class BatchOptions:
    """Of every command that turns pictures into pictures: which become which files, and how the work is done."""

    inputs: Annotated[
        list[str] | None, typer.Argument(help="Files, folders, patterns such as 'photos/*.jpg', or - for stdin.")
    ] = None
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            help="A file for one input, otherwise a folder; - is stdout. Default: a file beside the one input, or "
            "stdout for stdin.",
        ),
    ] = None

    recursive: Annotated[bool, _files("--recursive", "-r", help="Search the folders below input folders too.")] = False
    include: Annotated[
        list[str] | None, _files(metavar="PATTERN", help="Of what is in folders, only this, such as '*.jpg'.")
    ] = None
    exclude: Annotated[list[str] | None, _files(metavar="PATTERN", help="Of what is in folders, not this.")] = None
    files_from: Annotated[
        str | None, _files(metavar="FILE", help="Also the inputs that FILE lists, one a line; - is stdin.")
    ] = None
    suffix: Annotated[
        str, _files(metavar="TEXT", help="Goes before the dot of outputs in a folder, or beside their input.")
    ] = ""
    format: Annotated[
        Literal["auto", "png", "jpg", "webp", "avif", "tiff"],
        _files(help="Of outputs in a folder or on stdout; auto: the input's."),
    ] = "auto"
    quality: Annotated[int | None, _files(min=1, max=100, help="Of JPEG, WebP and AVIF.")] = None
    metadata: Annotated[
        Literal["keep", "strip"], _files(help="EXIF with the place, XMP, IPTC, texts; colour profiles stay.")
    ] = "keep"
    exists: Annotated[
        Literal["error", "skip", "overwrite", "rename"] | None,
        _files(help="What to do where the output is there already (one file: error, several: skip)."),
    ] = None
    frame: Annotated[
        str | None,
        _files(
            metavar="N|all",
            callback=_frame,
            help="Which page or frame of files that have several; all: each, in one file if the format holds them.",
        ),
    ] = None
    truncated: Annotated[Literal["refuse", "keep"], _files(help="What to do with JPEGs that are cut off.")] = "refuse"
    max_pixels: Annotated[int, _files(min=1, help="Refuse larger pictures.")] = MAX_PIXELS

    jobs: Annotated[int | None, _work(min=1, help="Threads that read and write.")] = None
    batch_size: Annotated[int, _work(min=1, help="Pictures at once.")] = 8
    shard: Annotated[str | None, _work(metavar="I/N", help="Only the I-th of N parts, from 1/N to N/N.")] = None
    executor: Annotated[Literal["local", "ray"], _work(help="This process, or a Ray cluster.")] = "local"
    address: Annotated[str | None, _work(help="Of the Ray cluster; none: this machine.")] = None
    on_error: Annotated[Literal["continue", "stop"], _work(help="After a failure, go on or stop.")] = "continue"
    dry_run: Annotated[bool, _work("--dry-run", help="Say what would be written, and write nothing.")] = False
    report: Annotated[str | None, _work(metavar="FILE.jsonl", help="One JSON line per file, and a summary.")] = None
    as_json: Annotated[bool, _work("--json", help="Write the report to stdout, as a JSON list.")] = False
    no_progress: Annotated[bool, _work("--no-progress", help="Show no progress bar.")] = False


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the fields of its dataclass parameters as parameters of its own, as Typer wants them."""
    own = inspect.signature(command, eval_str=True).parameters
    annotations = {name: parameter.annotation for name, parameter in own.items()}
    groups = {name: kind for name, kind in annotations.items() if isinstance(kind, type) and is_dataclass(kind)}
    fields = {name: inspect.signature(group).parameters for name, group in groups.items()}

    @functools.wraps(command)
    def flat(**values: Any) -> None:
        whole = {name: group(**{key: values.pop(key) for key in fields[name]}) for name, group in groups.items()}
        command(**whole, **values)

    parameters = [one for name, parameter in own.items() for one in fields.get(name, {name: parameter}).values()]
    flat.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [parameter.replace(kind=parameter.KEYWORD_ONLY) for parameter in parameters]
    )
    flat.__annotations__ = {}  # those of the groups; the signature has all
    return flat
