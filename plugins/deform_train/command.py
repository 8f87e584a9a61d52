"""The command behind `deform train`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deformcli import options, registry
from deformcli.errors import UsageError

if TYPE_CHECKING:
    from deformcli.engine.trainer import Losses, Trainer

Preset = Annotated[str, typer.Option("--preset", help="A named config of the recipe.")]
Data = Annotated[list[str], typer.Option("--data", metavar="KIND:PATH", help="Where the pictures are; may repeat.")]
Out = Annotated[Path, typer.Option("--out", help="Folder for checkpoints, log and samples.")]
Steps = Annotated[int | None, typer.Option("--steps", min=1, help="Optimizer steps in all.")]
BatchSize = Annotated[int | None, typer.Option("--batch-size", min=1, help="Items per step.")]
Resume = Annotated[str | None, typer.Option("--resume", metavar="auto|FILE", help="Go on from a checkpoint.")]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a field of the config.")]
Weights = Annotated[
    list[str] | None,
    typer.Option(
        "--weights",
        metavar="ID[=PATH]",
        help="A helper network of the losses; may repeat.",
        autocompletion=options.weights_ids,
    ),
]
Threads = Annotated[int, typer.Option("--threads", min=0, help="CPU threads; 0 = all.")]
ShowConfig = Annotated[bool, typer.Option("--show-config", help="Print the config and end.")]


def train(
    recipe: options.Recipe,
    data: Data = [],  # noqa: B006 - Typer reads it, nobody writes it
    out: Out = Path("runs/new"),
    preset: Preset = "best",
    steps: Steps = None,
    batch_size: BatchSize = None,
    resume: Resume = None,
    changes: Set = None,
    weights: Weights = None,
    threads: Threads = 0,
    show_config: ShowConfig = False,
    device: options.Device = "auto",
    no_progress: options.NoProgress = False,
) -> None:
    """Train a task's networks against their discriminators."""
    kind = registry.choose("recipe", recipe, registry.recipes())
    config = _config(kind, preset, steps, batch_size, [*(changes or []), *map(_helper, weights or [])])
    if show_config:
        for key, value in _flat(dataclasses.asdict(config)):
            typer.echo(f"{key} = {value}")
        return
    if not data:
        raise UsageError("no data to train on", "name it, as in --data folder:photos")

    import torch

    from deformcli.data.spec import open_items
    from deformcli.engine.checkpoint import find_checkpoint
    from deformcli.engine.device import choose_device
    from deformcli.engine.trainer import Trainer

    checkpoint = find_checkpoint(out, resume)
    if threads:
        torch.set_num_threads(threads)
    task = kind(config)
    items = config.training.steps * config.training.batch_size
    trainer = Trainer(task, open_items(task, data, "train", items), out, choose_device(device))
    if checkpoint is not None:
        trainer.restore(checkpoint)
    with _progress(trainer, shown=not no_progress) as report:
        trainer.run(report)
    typer.echo(f"trained {trainer.step} steps; use it with --weights {out / 'weights.safetensors'}", err=True)


def _config(kind: Any, preset: str, steps: int | None, batch_size: int | None, changes: list[str]) -> Any:
    from deformcli.engine.recipe import override

    if preset not in kind.presets:
        raise UsageError(f"no preset {preset!r} of {kind.name}", f"presets are: {', '.join(kind.presets)}")
    short = {"training.steps": steps, "training.batch_size": batch_size}
    given = [f"{key}={value}" for key, value in short.items() if value is not None]
    return override(kind.presets[preset], [*changes, *given])


def _helper(name: str) -> str:
    """`--weights vgg-16=FILE` as the assignment perceptual_weights=FILE: by what the network is for."""
    from deformcli.weights import find_entry, resolve_weights

    return f"{find_entry(name.partition('=')[0]).task}_weights={resolve_weights(name)}"


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


@contextmanager
def _progress(trainer: Trainer, shown: bool) -> Iterator[Any]:
    """A bar with speed and loss on a terminal, a line now and then elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    total, every = trainer.config.steps, trainer.config.log_every

    def line(step: int, losses: Losses) -> None:
        if step % every == 0 or step == total:
            text = "  ".join(f"{name} {value:.4f}" for name, value in losses.items())
            typer.echo(f"step {step}/{total}  {text}", err=True)

    if not shown or not console.is_terminal:
        yield line
        return
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.fields[loss]}"))
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("train", total=total, completed=trainer.step, loss="")
        yield lambda step, losses: bar.update(task, completed=step, loss=f"loss {losses.get('total', 0):.4f}")
