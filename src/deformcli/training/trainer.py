"""A run: steps one after the other, what is seen of them, and everything needed to stop and go on."""

from __future__ import annotations

import dataclasses
import json
import platform
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset

from deformcli import __version__
from deformcli.data.loading import Batch, to_device
from deformcli.errors import DeformError, UsageError
from deformcli.metrics import mse
from deformcli.recipes.recipe import Recipe, target_known
from deformcli.runtime.device import autocast
from deformcli.runtime.stop import stop_signals, time_limit
from deformcli.weights.networks import export_generator, fill_network, load_generator, load_tensors, save_tensors

from .batches import batches, check_batch_size
from .checkpoint import keep_newest, save_also_as, with_prefix, without_prefix
from .log import RunLog
from .processes import Processes
from .randomness import random_state, restore_random_state
from .step import Losses, Players

LAST, BEST = "checkpoint.safetensors", "checkpoint-best.safetensors"
WEIGHTS, BEST_WEIGHTS = "weights.safetensors", "weights-best.safetensors"


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
        self.players = Players(recipe, processes)
        self.held_out = _few(held_out, self.config.eval_items) if held_out is not None else None
        self.step = 0
        self.best: dict[str, float] | None = None  # step and mse of the best weights so far

    def run(self, report: Callable[[int, Losses], None], about: Mapping[str, Any], tensorboard: bool = False) -> None:
        """Train to `config.steps`, or for `config.max_hours`.

        SIGTERM and Ctrl-C let the step under way end, save, and raise KeyboardInterrupt.

        Args:
            report: gets each step's number, losses and pace.
            about: what is written to run.json beside config and versions.
            tensorboard: whether to log for TensorBoard too.

        Raises:
            DeformError: an item cannot be read, no room, no memory, or losses that stay infinite.
        """
        late = time_limit(self.config.max_hours)
        self.processes.wait()  # the others may still look whether the folder is empty
        with self._log(about, tensorboard) as log, stop_signals() as interrupted:
            self._loop(report, log, lambda: self.processes.any(interrupted() or late()))
        if self.step < self.config.steps and not late():
            raise KeyboardInterrupt

    def _loop(self, report: Callable[[int, Losses], None], log: RunLog | None, stopped: Callable[[], bool]) -> None:
        config, pace = self.config, _Pace(self.config.log_every)
        for batch in pace.watch(batches(self.open_data, config, self.step, self.processes)):
            try:
                losses = self.players.train_step(batch, self.step)
            except DeformError:
                self.save(log)
                raise
            self.step += 1
            numbers = {**pace.read(config.batch_size), **losses}
            report(self.step, numbers)
            better = log is not None and self._look(log, batch, numbers)
            end = stopped() or self.step == config.steps
            if end or better or _due(self.step, config.save_every):
                self.save(log, better)
            if end:
                return

    def _look(self, log: RunLog, batch: Batch, numbers: Losses) -> bool:
        """Log, show and measure what is due at this step; whether its weights are the best so far."""
        last = self.step == self.config.steps
        if last or _due(self.step, self.config.log_every):
            log.note(self.step, numbers)
        if _due(self.step, self.config.sample_every):
            log.show(self.step, self.samples(batch))
        if self.held_out is None or not (last or _due(self.step, self.config.eval_every)):
            return False
        error = self.evaluate()
        log.note(self.step, {"held_out_mse": error})
        if self.best is not None and self.best["mse"] <= error:
            return False
        self.best = {"step": self.step, "mse": error}
        return True

    def samples(self, batch: Batch) -> dict[str, Tensor]:
        """Columns of pictures of a batch's first items."""
        with self._exported_in_place():
            return self.recipe.pictures({key: value[:6] for key, value in batch.items()})

    def evaluate(self) -> float:
        """Mean squared error, in 0..1, of what would be exported, on the held-out items."""
        errors: list[float] = []
        for batch in DataLoader(self.held_out, self.config.batch_size):
            batch = to_device(batch, self.processes.device)
            target = self.recipe.target(batch)
            given = target_known(batch, target)
            with self._exported_in_place():
                errors += mse(self.recipe.predict(batch).float() * given, target * given).tolist()
        return sum(errors) / len(errors)

    @contextmanager
    def _exported_in_place(self) -> Iterator[None]:
        """Let the recipe use the weights that would be exported, as one who only looks."""
        learning = self.recipe.generator
        self.recipe.generator = self.players.exported.eval()
        try:
            with torch.no_grad(), autocast(self.processes.device, self.config.amp):
                yield
        finally:
            self.recipe.generator = learning.train()

    @contextmanager
    def _log(self, about: Mapping[str, Any], tensorboard: bool) -> Iterator[RunLog | None]:
        if not self.processes.leading:
            yield None
            return
        versions = {"deform": __version__, "torch": torch.__version__, "python": platform.python_version()}
        setup = {"device": str(self.processes.device), "processes": self.processes.count, "versions": versions}
        about = {"recipe": self.recipe.name, "config": dataclasses.asdict(self.recipe.config), **setup, **about}
        log = RunLog(self.out, self.step, about, tensorboard)
        keep_newest(self.out, self.config.keep)
        try:
            yield log
        finally:
            log.close()

    def save(self, log: RunLog | None, best: bool = False) -> None:
        """Write the last checkpoint and weights, which may be the best too, each atomically. Raises DeformError."""
        if log is None:
            return
        players, config, out = self.players, dataclasses.asdict(self.recipe.config), self.out
        about = {"task": self.recipe.name, "config": config, "step": self.step, "deform": __version__}
        about |= {"best": self.best, "skipped": players.skipped, "scaler": players.scaler.state_dict()}
        tensors = players.tensors() | with_prefix("rng", random_state(self.processes.device))
        save_tensors(out / LAST, tensors, about)
        export_generator(out / WEIGHTS, players.exported, self.recipe.name, config["generator"], self.step)
        if self.config.keep:
            save_also_as(out / LAST, out / f"checkpoint-{self.step:07d}.safetensors")
        keep_newest(out, self.config.keep)
        if best:
            save_also_as(out / LAST, out / BEST)
            save_also_as(out / WEIGHTS, out / BEST_WEIGHTS)
        log.tabulate()

    def try_one_step(self) -> Losses:
        """The losses of one step, of which nothing is kept on disk. Raises DeformError as `run` does."""
        return self.players.train_step(next(batches(self.open_data, self.config, self.step, self.processes)), self.step)

    def begin_with(self, path: Path) -> None:
        """Start from an exported generator. Raises WeightsError if it is none, or does not fit."""
        state, _ = load_generator(path, self.recipe.name)
        for network in filter(None, (self.players.generator, self.players.average)):
            fill_network(network, state, path)

    def restore(self, path: Path) -> None:
        """Go on from a checkpoint. Raises WeightsError if it is damaged, UsageError if it is of another run."""
        tensors, about = load_tensors(path)
        _check_same_run(path, about, self.recipe)
        self.players.restore(tensors, path)
        self.players.skipped = about.get("skipped", 0)
        if about.get("scaler"):
            self.players.scaler.load_state_dict(about["scaler"])
        restore_random_state(without_prefix("rng", tensors) or {"torch": tensors["rng"]}, self.processes.device)
        self.step, self.best = about["step"], about.get("best")


class _Pace:
    """How fast the last steps were."""

    def __init__(self, window: int) -> None:
        self.steps: deque[tuple[float, float]] = deque(maxlen=max(1, window))  # when a batch was asked for, and came

    def watch(self, source: Iterable[Batch]) -> Iterator[Batch]:
        asked = time.monotonic()
        for batch in source:
            self.steps.append((asked, time.monotonic()))
            yield batch
            asked = time.monotonic()

    def read(self, batch_size: int) -> dict[str, float]:
        """Images a second, and the share of the time that went by waiting for data."""
        total = time.monotonic() - self.steps[0][0]
        waited = sum(came - asked for asked, came in self.steps)
        return {
            "images_per_second": round(len(self.steps) * batch_size / total, 2),
            "waiting": round(waited / total, 3),
        }


def _due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0


def _few(data: Any, count: int) -> Dataset:
    """So many items of a held-out split, picked from all over it, or all that there are; each time the same."""
    return Subset(data, torch.randperm(len(data), generator=torch.Generator().manual_seed(0))[:count].tolist())


def _check_same_run(path: Path, about: Mapping[str, Any], recipe: Recipe) -> None:
    if about.get("task") != recipe.name or "step" not in about:
        raise UsageError(f"{path}: is no checkpoint of {recipe.name}", "name a checkpoint.safetensors of this recipe")
    generator = json.loads(json.dumps(dataclasses.asdict(recipe.config)["generator"]))
    if about["config"]["generator"] != generator:
        raise UsageError(f"{path}: has another architecture", "resume with the preset and --set of the first run")
