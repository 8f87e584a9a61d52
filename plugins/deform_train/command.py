"""The command behind `deform train`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deformcli import options, registry
from deformcli.errors import UsageError

if TYPE_CHECKING:
    from deformcli.recipes.recipe import Recipe
    from deformcli.training.processes import Processes
    from deformcli.training.trainer import Trainer

Preset = Annotated[
    str | None, typer.Option("--preset", help="A named config of the recipe: best by default, or that of --resume.")
]
Out = Annotated[Path, typer.Option("--out", help="Folder for checkpoints, log and samples.")]
Steps = Annotated[int | None, typer.Option("--steps", min=1, help="Optimizer steps in all.")]
MaxHours = Annotated[float | None, typer.Option("--max-hours", min=0, help="End after so many hours, to be resumed.")]
BatchSize = Annotated[
    int | None, typer.Option("--batch-size", min=1, help="Items per step, of all processes together.")
]
GradAccum = Annotated[
    int | None, typer.Option("--grad-accum", min=1, help="Compute a step in so many parts, to save memory.")
]
Amp = Annotated[str | None, typer.Option("--amp", metavar="auto|bf16|fp16|off", help="Mixed precision.")]
Compile = Annotated[bool | None, typer.Option("--compile/--no-compile", help="Use torch.compile.")]
Ema = Annotated[float | None, typer.Option("--ema", min=0, max=1, help="Decay of the exported running average.")]
Seed = Annotated[int | None, typer.Option("--seed", help="Of initial weights and data.")]
SaveEvery = Annotated[int | None, typer.Option("--save-every", min=0, help="Steps between checkpoints.")]
SampleEvery = Annotated[int | None, typer.Option("--sample-every", min=0, help="Steps between sample grids.")]
EvalEvery = Annotated[
    int | None, typer.Option("--eval-every", min=0, help="Steps between measurements on held-out items; 0 = none.")
]
Resume = Annotated[
    str | None, typer.Option("--resume", metavar="auto|FILE", help="Go on from a checkpoint, with its config.")
]
InitFrom = Annotated[
    str | None,
    typer.Option(
        "--init-from", metavar="ID|FILE", help="Begin with these weights.", autocompletion=options.weights_ids
    ),
]
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
TensorBoard = Annotated[bool, typer.Option("--tensorboard", help="Log for TensorBoard too.")]
ShowConfig = Annotated[bool, typer.Option("--show-config", help="Print the config and end.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Try one step, and write nothing.")]


def train(
    context: typer.Context,
    recipe: options.Recipe,
    data: options.Data = [],  # noqa: B006 - Typer reads it, nobody writes it
    out: Out = Path("runs/new"),
    masks: options.Masks = None,
    preset: Preset = None,
    steps: Steps = None,
    max_hours: MaxHours = None,
    batch_size: BatchSize = None,
    grad_accum: GradAccum = None,
    amp: Amp = None,
    use_compile: Compile = None,
    ema: Ema = None,
    seed: Seed = None,
    save_every: SaveEvery = None,
    sample_every: SampleEvery = None,
    eval_every: EvalEvery = None,
    resume: Resume = None,
    init_from: InitFrom = None,
    changes: Set = None,
    weights: Weights = None,
    threads: Threads = 0,
    tensorboard: TensorBoard = False,
    show_config: ShowConfig = False,
    dry_run: DryRun = False,
    device: options.Device = "auto",
    offline: options.Offline = False,
    no_progress: options.NoProgress = False,
) -> None:
    """Train a task's networks against their discriminators; under torchrun, on many devices."""
    kind = registry.choose("recipe", recipe, registry.recipes())

    from deformcli.recipes.settings import flat, override
    from deformcli.training.checkpoint import find_checkpoint
    from deformcli.training.processes import joined
    from deformcli.weights.store import resolve_weights

    if resume and resume != "auto" and init_from:
        raise UsageError("--resume FILE and --init-from exclude one another", "a resumed run has its weights already")
    checkpoint = find_checkpoint(out, resume) if data or resume else None
    start = resolve_weights(init_from, task=kind.name, offline=offline) if init_from and checkpoint is None else None
    short = {
        "steps": steps, "max_hours": max_hours, "batch_size": batch_size, "grad_accum": grad_accum, "amp": amp,
        "compile": use_compile, "ema": ema, "seed": seed, "save_every": save_every, "sample_every": sample_every,
        "eval_every": eval_every,
    }  # fmt: skip
    given = [f"training.{key}={value}" for key, value in short.items() if value is not None]
    helpers = [_helper(name, offline) for name in weights or []]
    given += [f"masks={masks}"] if masks else []
    config = override(_base(kind, preset, checkpoint, start), [*(changes or []), *helpers, *given])
    if show_config:
        for key, value, meaning in flat(config):
            typer.echo(f"{key} = {value}  # {meaning}" if meaning else f"{key} = {value}")
        return
    if not data:
        raise UsageError("no data to train on", "name it, as in --data folder:photos")

    with joined(device) as processes:
        trainer = _trainer(kind(config), data, out, processes, threads)
        if checkpoint is not None:
            trainer.restore(checkpoint)
        if start is not None:
            trainer.begin_with(start)
        if dry_run:
            typer.echo(_tried(trainer), err=True)
            return
        from .progress import progress

        with progress(trainer, bar=not no_progress) as report:
            trainer.run(report, {"data": data}, tensorboard)
        if processes.leading:
            has_command = kind.name in context.parent.command.commands
            typer.echo(_summary(trainer, data, kind.name if has_command else None), err=True)


def _base(kind: Any, preset: str | None, checkpoint: Path | None, start: Path | None) -> Any:
    """The config before anything is changed: a preset, or that of the checkpoint, its networks those of the weights."""
    from deformcli.training.checkpoint import checkpoint_config
    from deformcli.weights.networks import from_dict, load_generator

    if checkpoint is not None and preset is None:
        return checkpoint_config(checkpoint, type(next(iter(kind.presets.values()))))
    preset = preset or next(iter(kind.presets))
    if preset not in kind.presets:
        raise UsageError(f"no preset {preset!r} of {kind.name}", f"presets are: {', '.join(kind.presets)}")
    config = kind.presets[preset]
    if start is None:
        return config
    return dataclasses.replace(config, generator=from_dict(type(config.generator), load_generator(start, kind.name)[1]))


def _helper(name: str, offline: bool) -> str:
    """`--weights vgg-16=FILE` as the assignment perceptual_weights=FILE: by what the network is for."""
    from deformcli.weights.manifest import find_entry
    from deformcli.weights.store import resolve_weights

    return f"{find_entry(name.partition('=')[0]).task}_weights={resolve_weights(name, offline=offline)}"


def _trainer(task: Recipe, data: list[str], out: Path, processes: Processes, threads: int) -> Trainer:
    import torch

    from deformcli.data.spec import open_items
    from deformcli.training.trainer import Trainer

    if threads:
        torch.set_num_threads(threads)
    training = task.config.training
    count = training.steps * training.batch_size
    sizes = {training.start_size or training.size, training.size}
    opened = {size: open_items(task.resized(size), data, "train", count) for size in sizes}
    held_out = open_items(task, data, "test") if training.eval_every else None
    return Trainer(task, opened.__getitem__, out, processes, held_out)


def _tried(trainer: Trainer) -> str:
    losses = trainer.try_one_step()
    size = sum(parameter.numel() for parameter in trainer.players.generator.parameters())
    terms = "  ".join(f"{name} {value:.4f}" for name, value in losses.items())
    return f"all is well: a generator of {size:,} parameters, one step of {trainer.config.batch_size} items: {terms}"


def _summary(trainer: Trainer, data: list[str], command: str | None) -> str:
    from deformcli.training.trainer import BEST_WEIGHTS, WEIGHTS

    weights = trainer.out / (BEST_WEIGHTS if trainer.best else WEIGHTS)
    skipped = f", {trainer.players.skipped} of them skipped" if trainer.players.skipped else ""
    lines = [f"trained {trainer.step} of {trainer.config.steps} steps{skipped}"]
    if trainer.best:
        lines.append(f"best at step {trainer.best['step']}, mean squared error {trainer.best['mse']:.5f}")
    if trainer.step < trainer.config.steps:
        lines.append("go on with the same command and --resume auto")
    sources = " ".join(f"--data {spec}" for spec in data)
    lines.append(f"measure it: deform evaluate {trainer.recipe.name} {sources} --weights {weights}")
    if command:
        lines.append(f"use it: deform {command} IN -o OUT --weights {weights}")
    return "\n".join(lines)
