"""The command behind `deform train`."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from deformcli import options, registry
from deformcli.errors import UsageError
from deformcli.runs import RUNS, last_run, new_run
from deformcli.runtime import bar, is_shown, log, writing

from .options import ProcessOptions, RunOptions, StartOptions, TrainingOptions

if TYPE_CHECKING:
    from torch.utils.data import Dataset

    from deformcli.recipes import Recipe
    from deformcli.training import Losses, Processes, Trainer


@options.spread
def train(
    context: typer.Context,
    recipe: options.Recipe,
    *,
    data: options.Data = [],  # noqa: B006 - Typer reads it, nobody writes it
    run: RunOptions,
    training: TrainingOptions,
    start: StartOptions,
    process: ProcessOptions,
) -> None:
    """Train a task's networks against their discriminators; under torchrun, on many devices."""
    kind = registry.choose("recipe", recipe, registry.recipes())
    task = kind.predictor.task

    from deformcli.data import located
    from deformcli.recipes import flat, override
    from deformcli.training import find_checkpoint, joined
    from deformcli.weights import resolve_weights

    # where it starts from, and its config
    if start.resume and start.resume != "auto" and start.init_from:
        raise UsageError("--resume FILE and --init-from exclude one another", "a resumed run has its weights already")
    data, out = located(data), run.out or _folder(task, start.resume)
    checkpoint = find_checkpoint(out, start.resume) if out and (data or start.resume) else None
    begin = start.init_from if checkpoint is None else None
    weights = resolve_weights(begin, task=task, offline=process.offline) if begin else None
    helpers = [_helper(name, process.offline) for name in start.weights or []]
    masks = [f"masks={run.masks}"] if run.masks else []
    changes = [*(start.changes or []), *helpers, *training.changes(), *masks]
    config = override(_base(kind, run.preset, checkpoint, weights), changes)
    if process.show_config:
        for key, value, meaning in flat(config):
            typer.echo(f"{key} = {value}  # {meaning}" if meaning else f"{key} = {value}")
        return
    if not data:
        raise UsageError("no data to train on", "name it, as in --data folder:photos")

    # the run
    with joined(process.device) as processes:
        trainer = _trainer(kind(config), data, out or RUNS, processes, process.threads)
        for note in trainer.recipe.notes if processes.leading else ():
            log.info("note: %s", note)
        if checkpoint is not None:
            trainer.restore(checkpoint)
        if weights is not None:
            trainer.begin_with(weights)
        if process.dry_run:
            log.info(_tried(trainer))
            return
        if run.out is None and processes.leading:  # the others write nothing
            trainer.out = out or _new_folder(task)
            log.info("the run is %s", trainer.out)
        with progress(trainer, not process.no_progress) as report:
            trainer.run(report, {"data": data}, process.tensorboard)
        if processes.leading:
            has_command = task in context.parent.command.commands
            log.info(_summary(trainer, data, task if has_command else None))


def _folder(recipe: str, resume: str | None) -> Path | None:
    """Where a run goes on that is not told; None for a new one."""
    if resume is None:
        return None
    return last_run(recipe) if resume == "auto" else Path(resume).parent


def _new_folder(recipe: str) -> Path:
    with writing(RUNS, "name another folder with --out"):
        return new_run(recipe)


def _base(kind: Any, preset: str | None, checkpoint: Path | None, weights: Path | None) -> Any:
    """The config before anything is changed: a preset, or that of the checkpoint, its networks those of the weights."""
    from deformcli.training import checkpoint_config
    from deformcli.weights import from_dict, load_generator

    task, first = kind.predictor.task, next(iter(kind.presets))
    if checkpoint is not None and preset is None:
        return checkpoint_config(checkpoint, task, type(kind.presets[first]))
    preset = preset or first
    if preset not in kind.presets:
        raise UsageError(f"no preset {preset!r} of {task}", f"presets are: {', '.join(kind.presets)}")
    config = kind.presets[preset]
    if weights is None:
        return config
    return dataclasses.replace(config, generator=from_dict(type(config.generator), load_generator(weights, task)[1]))


def _helper(name: str, offline: bool) -> str:
    """`--weights vgg-16=FILE` as the assignment perceptual_weights=FILE: by what the network is for."""
    from deformcli.weights import find_entry, resolve_weights

    return f"{find_entry(name.partition('=')[0]).task}_weights={resolve_weights(name, offline=offline)}"


def _trainer(recipe: Recipe, data: list[str], out: Path, processes: Processes, threads: int) -> Trainer:
    import torch

    from deformcli.recipes import open_items
    from deformcli.training import Trainer

    if threads:
        torch.set_num_threads(threads)
    config, training = recipe.config, recipe.config.training
    count = training.steps * training.batch_size
    sizes = {training.start_size or training.size, training.size}
    opened = {size: open_items(recipe, config, data, "train", size=size, length=count) for size in sizes}
    return Trainer(recipe, opened.__getitem__, out, processes, _validation(recipe, data))


def _validation(recipe: Recipe, data: list[str]) -> Dataset | None:
    """The items that choose the best weights, of people who are neither trained on nor tested; None if nobody asks."""
    from deformcli.recipes import open_items

    if not recipe.config.training.eval_every:
        return None
    without = "or train without choosing the best weights: --eval-every 0"
    try:
        items = open_items(recipe, recipe.config, data, "validation")
    except UsageError as error:
        raise UsageError(error.cause, f"{error.remedy}; {without}") from error
    if not len(items):  # type: ignore[arg-type]
        raise UsageError("the data have no item for the validation split", f"add data that have some, {without}")
    return items


def _tried(trainer: Trainer) -> str:
    losses = trainer.try_one_step()
    size = sum(parameter.numel() for parameter in trainer.recipe.generator.parameters())
    terms = "  ".join(f"{name} {value:.4f}" for name, value in losses.items())
    return f"all is well: a generator of {size:,} parameters, one step of {trainer.config.batch_size} items: {terms}"


def _summary(trainer: Trainer, data: list[str], command: str | None) -> str:
    from deformcli.runs import BEST_WEIGHTS, WEIGHTS

    weights = trainer.out / (BEST_WEIGHTS if trainer.best else WEIGHTS)
    skipped = f", {trainer.training_step.skipped} of them skipped" if trainer.training_step.skipped else ""
    lines = [f"trained {trainer.step} of {trainer.config.steps} steps{skipped}"]
    if trainer.best:
        lines.append(f"best at step {trainer.best['step']}, mean squared error {trainer.best['mse']:.5f}")
    if trainer.step < trainer.config.steps:
        lines.append(f"go on with the same command, {shlex.join(['--out', str(trainer.out)])} and --resume auto")
    lines.append(f"measure it: {shlex.join(['deform', *_measured(trainer.recipe, data), '--weights', str(weights)])}")
    if command:
        lines.append(f"use it: {shlex.join(['deform', command, 'IN', '-o', 'OUT', '--weights', str(weights)])}")
    return "\n".join(lines)


def _measured(recipe: Recipe, data: list[str]) -> list[str]:
    """The command that measures at the size and under the masks of training, without the weights."""
    command = ["evaluate", recipe.predictor.task, *(part for spec in data for part in ("--data", spec))]
    command += ["--size", str(recipe.config.training.size)]
    masks = getattr(recipe.config, "masks", ())
    return (
        command if masks == getattr(recipe.predictor.defaults, "masks", ()) else [*command, "--masks", ",".join(masks)]
    )


@contextmanager
def progress(trainer: Trainer, wanted: bool) -> Iterator[Callable[[int, Losses], None]]:
    """A bar with pace and loss on a terminal, a line now and then elsewhere; nothing from processes that follow."""
    wanted = wanted and trainer.processes.leading
    with bar(trainer.config.steps, trainer.step, wanted=wanted) as advance:

        def report(step: int, numbers: Losses) -> None:
            loss = f"loss {numbers['total']:.4f}" if "total" in numbers else "step skipped"
            advance(f"{numbers['images_per_second']:.1f} images/s  {loss}")
            if trainer.processes.leading and not is_shown(wanted):
                _tell(trainer, step, numbers)

        yield report


def _tell(trainer: Trainer, step: int, numbers: Losses) -> None:
    config = trainer.config
    if step == config.steps or (config.log_every and step % config.log_every == 0):
        text = "  ".join(f"{name} {value:.4f}" for name, value in numbers.items())
        log.info("step %s/%s  %s", step, config.steps, text)
