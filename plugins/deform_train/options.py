"""The options of `deform train`, in groups."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from deformcli import options


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Where a run is, and by which config."""

    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for checkpoints, log and samples; by default a new runs/RECIPE-NUMBER, with --resume auto the "
            "last one, with --resume FILE that of the file."
        ),
    ] = None
    masks: options.Masks = None
    preset: Annotated[
        str | None, typer.Option(help="A named config of the recipe: best by default, or that of --resume.")
    ] = None


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """Fields of `TrainingConfig` by the same names, short for --set training.NAME=VALUE; None: as the config says."""

    steps: Annotated[int | None, typer.Option(min=1, help="Optimizer steps in all.")] = None
    max_hours: Annotated[float | None, typer.Option(min=0, help="End after so many hours, to be resumed.")] = None
    batch_size: Annotated[int | None, typer.Option(min=1, help="Items per step, of all processes together.")] = None
    grad_accum: Annotated[int | None, typer.Option(min=1, help="Compute a step in so many parts, to save memory.")] = (
        None
    )
    amp: Annotated[str | None, typer.Option(metavar="auto|bf16|fp16|off", help="Mixed precision.")] = None
    compile: Annotated[bool | None, typer.Option(help="Use torch.compile.")] = None
    ema: Annotated[float | None, typer.Option(min=0, max=1, help="Decay of the exported running average.")] = None
    seed: Annotated[int | None, typer.Option(help="Of initial weights and data.")] = None
    save_every: Annotated[int | None, typer.Option(min=0, help="Steps between checkpoints.")] = None
    sample_every: Annotated[int | None, typer.Option(min=0, help="Steps between sample grids.")] = None
    eval_every: Annotated[
        int | None, typer.Option(min=0, help="Steps between measurements on the validation split; 0 = none.")
    ] = None

    def changes(self) -> list[str]:
        """As `--set` would have them."""
        return [f"training.{name}={value}" for name, value in vars(self).items() if value is not None]


@dataclass(frozen=True, kw_only=True)
class StartOptions:
    """What a run starts from, and what is changed."""

    resume: Annotated[
        str | None, typer.Option(metavar="auto|FILE", help="Go on from a checkpoint, with its config.")
    ] = None
    init_from: Annotated[
        str | None,
        typer.Option(metavar="ID|FILE", help="Begin with these weights.", autocompletion=options.weights_ids),
    ] = None
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a field of the config.")
    ] = None
    weights: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID[=PATH]",
            help="A helper network of the losses; may repeat.",
            autocompletion=options.weights_ids,
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class ProcessOptions:
    """How the command works, and where."""

    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0 = all.")] = 0
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Log for TensorBoard too.")] = False
    show_config: Annotated[bool, typer.Option("--show-config", help="Print the config and end.")] = False
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Try one step, and write nothing.")] = False
    device: options.Device = "auto"
    offline: options.Offline = False
    no_progress: options.NoProgress = False
