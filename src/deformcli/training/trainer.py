"""A run: steps one after the other, what is seen of them, and everything needed to stop and go on."""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import torch
import typer
from torch import Tensor
from torch.utils.data import Dataset, Subset

from deformcli import __version__
from deformcli.data.loading import Batch, InOrder, to_device
from deformcli.errors import NothingToDoError, UsageError, WeightsError, one_line
from deformcli.metrics import mse
from deformcli.recipes.adversarial import guessed_holes
from deformcli.recipes.predictor import Predictor
from deformcli.recipes.recipe import Recipe, TrainingConfig, target_known
from deformcli.recipes.settings import flat
from deformcli.runs import BEST_CHECKPOINT, BEST_WEIGHTS, CHECKPOINT, WEIGHTS, numbered_checkpoint
from deformcli.runtime.device import autocast
from deformcli.runtime.stop import asked_to_stop, time_limit
from deformcli.weights.networks import (
    export_generator,
    fill_network,
    from_dict,
    load_generator,
    load_tensors,
    save_tensors,
)

from .batches import batches, check_batch_size
from .checkpoint import check_checkpoint, keep_newest, save_also_as, with_prefix, without_prefix
from .log import Pace, RunLog
from .processes import Processes
from .randomness import random_state, restore_random_state
from .step import Losses, TrainingStep

SHOWN = 6  # items of a sheet of samples


class Trainer:
    """Trains a recipe.

    Args:
        recipe: its networks are trained where they are.
        open_data: training items whose pictures have a given size.
        out: the run's folder; of several processes the leading one alone writes there.
        processes: this process's place, and its device.
        held_out: items that find the best weights; None to do without.

    Raises:
        UsageError: a batch size that the processes cannot share.
    """

    def __init__(
        self,
        recipe: Recipe,
        open_data: Callable[[int], Dataset],
        out: Path,
        processes: Processes,
        held_out: Dataset | None = None,
    ) -> None:
        check_batch_size(recipe.config.training, processes)
        self.recipe, self.open_data, self.out, self.processes = recipe, open_data, out, processes
        self.config = recipe.config.training
        self.training_step = TrainingStep(recipe, processes)
        self.held_out = _random_items(held_out, self.config) if held_out is not None else None
        self.step = self.saved = 0  # steps done, and of these in the last checkpoint
        self.best: dict[str, float] | None = None  # step and mse of the best weights so far

    def run(self, report: Callable[[int, Losses], None], about: Mapping[str, Any], tensorboard: bool = False) -> None:
        """Train to `config.steps`, or for `config.max_hours`.

        SIGTERM and Ctrl-C let the step under way end, save, and raise KeyboardInterrupt. An error saves the steps that
        are done; samples and measurements that fail are a warning.

        Args:
            report: gets each step's number, losses and pace.
            about: what is written about the run beside config and versions.
            tensorboard: whether to log for TensorBoard too.

        Raises:
            DeformError: an item cannot be made, no room, no memory, or losses that stay infinite.
        """
        late = time_limit(self.config.max_hours)
        word = f"stopping after this step, to be saved in {self.out / CHECKPOINT}; once more ends at once"
        self.processes.wait()  # the others may still look whether the folder is empty
        with self._log(about, tensorboard) as log, asked_to_stop(word if log else "", in_logs=True) as asked:
            try:
                self._go_on(log, report, lambda: asked.is_set() or late())
            except Exception:
                if self.step > self.saved:
                    self.save(log)
                raise
        if self.step < self.config.steps and not late():
            raise KeyboardInterrupt

    def _go_on(self, log: RunLog | None, report: Callable[[int, Losses], None], to_stop: Callable[[], bool]) -> None:
        config, pace = self.config, Pace(self.config.log_every)
        with closing(self._batches()) as source:
            for batch in pace.watch(source):
                losses = self.training_step(batch, self.step)
                self.step += 1
                done = self.step == config.steps

                # tell
                numbers = {**pace.read(config.batch_size), **losses}
                report(self.step, numbers)
                if log is not None and (done or _due(self.step, config.log_every)):
                    log.note(self.step, numbers)

                # save, before anything else can fail
                end = self.processes.any(to_stop()) or done
                if end or _due(self.step, config.save_every):
                    self.save(log)

                # show and measure
                if log is not None:
                    self._look(log, batch, done)
                if end:
                    break

    def _look(self, log: RunLog, batch: Batch, done: bool) -> None:
        """Show and measure what would be exported, if it is time; save it if it is the best so far."""
        better = False
        if _due(self.step, self.config.sample_every):
            with _warned(f"step {self.step}: no sheet of samples"):
                log.show(self.step, self.samples(batch))
        if self.held_out is not None and (done or _due(self.step, self.config.eval_every)):
            with _warned(f"step {self.step}: not measured"):
                better = self._measure(log)
        if better:
            self.save(log, better)

    def _batches(self) -> Generator[Batch]:
        return batches(self.open_data, self.config, self.step, self.processes)

    def samples(self, batch: Batch) -> dict[str, Tensor]:
        """Columns of pictures of a batch's first items."""
        with self._predictor() as predictor:
            columns = predictor.pictures({key: value[:SHOWN] for key, value in batch.items()})
            return columns | guessed_holes(self.recipe.discriminators, columns)

    def _measure(self, log: RunLog) -> bool:
        """Measure what would be exported, and note it; whether it is the best so far."""
        error = self.evaluate()
        log.note(self.step, {"held_out_mse": error})
        log.tabulate()
        if self.best is not None and self.best["mse"] <= error:
            return False
        self.best = {"step": self.step, "mse": error}
        return True

    def evaluate(self) -> float:
        """Mean squared error, in 0..1, of what would be exported, on the held-out items that can be read.

        Raises NothingToDoError if none can.
        """
        errors: list[float] = []
        for batch in self.held_out or ():
            batch = to_device(batch, self.processes.device)
            with self._predictor() as predictor:
                target = predictor.target(batch)
                given = target_known(batch, target)
                errors += mse(predictor.predict(batch).float() * given, target * given).tolist()
        if not errors:
            raise NothingToDoError("no held-out item can be read", "repair them, or do without: --eval-every 0")
        return sum(errors) / len(errors)

    @contextmanager
    def _predictor(self) -> Iterator[Predictor]:
        """What would be exported, in use."""
        network = self.training_step.exported.eval()
        try:
            with torch.no_grad(), autocast(self.processes.device, self.config.amp):
                yield self.recipe.predictor(network, self.recipe.config)
        finally:
            network.train()

    @contextmanager
    def _log(self, about: Mapping[str, Any], tensorboard: bool) -> Iterator[RunLog | None]:
        if not self.processes.leading:
            yield None
            return
        versions = {"deform": __version__, "torch": torch.__version__, "python": platform.python_version()}
        setup = {"device": str(self.processes.device), "processes": self.processes.count, "versions": versions}
        config = dataclasses.asdict(self.recipe.config)
        about = {"recipe": self.recipe.predictor.task, "config": config, **setup, **about}
        log = RunLog(self.out, self.step, about, tensorboard)
        keep_newest(self.out, self.config.keep)
        try:
            yield log
        finally:
            log.close()

    def save(self, log: RunLog | None, best: bool = False) -> None:
        """Write the last checkpoint and weights, which may be the best too, each atomically. Raises DeformError."""
        self.saved = self.step
        if log is None:
            return
        learned, task, out = self.training_step, self.recipe.predictor.task, self.out
        config = dataclasses.asdict(self.recipe.config)
        about = {"task": task, "config": config, "step": self.step, "deform": __version__}
        about |= {"best": self.best, "skipped": learned.skipped, "scaler": learned.scaler.state_dict()}
        tensors = learned.tensors() | with_prefix("rng", random_state(self.processes.device))
        save_tensors(out / CHECKPOINT, tensors, about)
        export_generator(out / WEIGHTS, learned.exported, task, config["generator"], self.step)
        if self.config.keep:
            save_also_as(out / CHECKPOINT, out / numbered_checkpoint(self.step))
        keep_newest(out, self.config.keep)
        if best:
            save_also_as(out / CHECKPOINT, out / BEST_CHECKPOINT)
            save_also_as(out / WEIGHTS, out / BEST_WEIGHTS)
        log.tabulate()

    def restore(self, path: Path) -> None:
        """Go on from a checkpoint.

        Raises:
            WeightsError: it is none of this recipe, or damaged.
            UsageError: its networks are others than this config's.
        """
        tensors, about = load_tensors(path)
        check_checkpoint(path, about, self.recipe.predictor.task)
        _check_changes(path, about, self.recipe.config, "generator.")
        try:
            self.training_step.restore(tensors, path)
        except WeightsError:
            _check_changes(path, about, self.recipe.config, "")
            raise
        self.training_step.skipped = about.get("skipped", 0)
        if about.get("scaler"):
            self.training_step.scaler.load_state_dict(about["scaler"])
        restore_random_state(without_prefix("rng", tensors) or {"torch": tensors["rng"]}, self.processes.device)
        self.step = self.saved = about["step"]
        self.best = about.get("best")

    def begin_with(self, path: Path) -> None:
        """Start from an exported generator. Raises WeightsError if it is none, or does not fit."""
        state, _ = load_generator(path, self.recipe.predictor.task)
        for network in filter(None, (self.training_step.generator, self.training_step.average)):
            fill_network(network, state, path)

    def try_one_step(self) -> Losses:
        """The losses of one step, of which nothing is kept on disk. Raises DeformError as `run` does."""
        return self.training_step(next(self._batches()), self.step)


@contextmanager
def _warned(what: str) -> Iterator[None]:
    """What fails in it is told, no more: the run goes on."""
    try:
        yield
    except Exception as error:
        typer.echo(f"warning: {what}: {one_line(error)}", err=True)


def _due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0


def _random_items(data: Any, config: TrainingConfig) -> InOrder:
    """`eval_items` of a held-out split, picked from all over it, or all that there are; each time the same."""
    chosen = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))[: config.eval_items]
    return InOrder(Subset(data, chosen.tolist()), config.batch_size, workers=0)


def _check_changes(path: Path, about: Mapping[str, Any], config: Any, section: str) -> None:
    """Raise UsageError if settings of a section, which networks depend on, are others than in the checkpoint's run."""
    before = {key: value for key, value, _ in flat(from_dict(type(config), about["config"]))}
    changes = [
        f"{key} is {value}, was {before[key]}"
        for key, value, _ in flat(config)
        if value != before[key] and key.startswith(section) and not key.startswith("training.")
    ]
    if changes:
        more = f" and {len(changes) - 3} more" if len(changes) > 3 else ""
        begin = "" if section else f" from its weights: --init-from {path.parent / WEIGHTS}"
        remedy = f"resume without that change, or begin a new run{begin}"
        raise UsageError(f"{path}: has other networks: {', '.join(changes[:3])}{more}", remedy)
