"""The adversarial training loop: a generator, its judges, and everything needed to stop and go on."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, default_collate

from deformcli import __version__
from deformcli.errors import DeformError, UsageError

from .checkpoint import (
    export_generator,
    fill_network,
    load_tensors,
    optimizer_tensors,
    restore_optimizer,
    save_tensors,
    with_prefix,
    without_prefix,
)
from .device import autocast, has_fast_bfloat16
from .grid import save_grid
from .recipe import Batch, Recipe, frozen, to_device

Losses = dict[str, float]
MAX_BAD_STEPS = 10
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Trainer:
    """Runs a recipe. Item i of the data is a function of i alone, so the step number is the position in the data."""

    def __init__(self, recipe: Recipe, data: Dataset, out: Path, device: torch.device) -> None:
        self.recipe, self.data, self.out, self.device = recipe, data, out, device
        self.config = recipe.config.training
        layout = torch.channels_last if has_fast_bfloat16(device) else torch.contiguous_format
        self.generator = recipe.generator.to(device, memory_format=layout)
        self.discriminators = recipe.discriminators.to(device)
        self.average = copy.deepcopy(self.generator).requires_grad_(False) if self.config.ema else None
        self.generator_optimizer = torch.optim.Adam(self.generator.parameters(), self.config.generator_lr, (0.5, 0.999))
        judges = [{"params": list(self.discriminators.parameters())}]  # may be none
        self.discriminator_optimizer = torch.optim.Adam(judges, self.config.discriminator_lr, (0.5, 0.999))
        self.step = 0
        self.bad_steps = 0

    def run(self, report: Callable[[int, Losses], None]) -> None:
        """Train to `config.steps`; `report` gets the step and its losses.

        SIGTERM and Ctrl-C let the step under way end, save, and raise KeyboardInterrupt.
        """
        try:
            self.out.mkdir(parents=True, exist_ok=True)
            log = (self.out / "log.jsonl").open("a", buffering=1)
        except OSError as error:
            raise DeformError(f"{self.out} cannot be written: {error.strerror}", "choose another --out") from error
        with log, _stop_signals() as stopped:
            self._loop(report, log.write, stopped)
            self.save()
        if self.step < self.config.steps:
            raise KeyboardInterrupt

    def _loop(
        self, report: Callable[[int, Losses], None], write: Callable[[str], Any], stopped: Callable[[], bool]
    ) -> None:
        started, first = time.monotonic(), self.step
        for batch in self._batches():
            losses = self.train_step(batch)
            self.step += 1
            if self.step % self.config.log_every == 0 or self.step == self.config.steps:
                speed = (self.step - first) * self.config.batch_size / (time.monotonic() - started)
                write(json.dumps({"step": self.step, "images_per_second": round(speed, 2), **losses}) + "\n")
            report(self.step, losses)
            if self.step % self.config.sample_every == 0:
                self.save_samples(batch)
            if stopped():
                return
            if self.step % self.config.save_every == 0:
                self.save()

    def _batches(self) -> Iterator[Batch]:
        size = self.config.batch_size
        order = [range(step * size, (step + 1) * size) for step in range(self.step, self.config.steps)]
        loader = DataLoader(
            _Relayed(self.data),
            batch_sampler=order,  # type: ignore[arg-type]
            num_workers=self.config.workers,
            collate_fn=_collate,
            worker_init_fn=_ignore_stop_signals,
            generator=torch.Generator(),  # what the loader draws for itself does not disturb the run's numbers
        )
        for batch in loader:
            if isinstance(batch, DeformError):
                raise batch
            yield to_device(batch, self.device)

    def train_step(self, batch: Batch) -> Losses:
        """One step of both players; a player whose loss or gradient is not finite does not move."""
        networks = (self.generator, self.discriminators)
        statistics = [(buffer, buffer.clone()) for network in networks for buffer in network.buffers()]

        # generator: fool the judges, who do not learn from it
        with autocast(self.device, self.config.amp), frozen(self.discriminators):
            terms, made = self.recipe.generator_losses(batch, self.step)
            total = sum(terms.values(), torch.zeros((), device=self.device))
        for group in self.generator_optimizer.param_groups:
            group["lr"] = self.config.generator_lr * self._rate()
        if not _learn(self.generator_optimizer, total, self.config.clip):
            return self._skip(statistics)
        self._update_average()

        # judges: tell real from made
        judged: dict[str, Tensor] = {}
        if self.step >= self.config.adversarial_from and made is not None and len(self.discriminators):
            with autocast(self.device, self.config.amp):
                judged = self.recipe.discriminator_losses(batch, made)
            if not _learn(self.discriminator_optimizer, sum(judged.values(), torch.zeros((), device=self.device))):
                return self._skip(statistics)
        self.bad_steps = 0
        return {name: round(value.item(), 6) for name, value in {"total": total, **terms, **judged}.items()}

    @torch.no_grad()
    def _skip(self, statistics: Sequence[tuple[Tensor, Tensor]]) -> Losses:
        """Put back what the forward passes left in the networks; give up when this happens again and again."""
        for buffer, before in statistics:
            buffer.copy_(before)
        self.bad_steps += 1
        if self.bad_steps >= MAX_BAD_STEPS:
            raise DeformError(
                f"step {self.step}: {MAX_BAD_STEPS} losses in a row were not finite",
                "lower training.generator_lr, set training.clip=1 or training.amp=off, and --resume auto",
            )
        return {"skipped": 1.0}

    def _rate(self) -> float:
        """Share of the learning rate at this step: linear warm-up, then constant or a cosine to 0."""
        config = self.config
        rise = min(1.0, (self.step + 1) / config.warmup) if config.warmup else 1.0
        fall = (1 + math.cos(math.pi * self.step / config.steps)) / 2 if config.decay else 1.0
        return rise * fall

    @torch.no_grad()
    def _update_average(self) -> None:
        if self.average is None:
            return
        decay = min(self.config.ema, (1 + self.step) / (10 + self.step))
        for mean, value in zip(self.average.state_dict().values(), self.generator.state_dict().values(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(value, 1 - decay)
            else:
                mean.copy_(value)

    @torch.no_grad()
    def save_samples(self, batch: Batch) -> None:
        few = {key: value[:6] for key, value in batch.items()}
        with _evaluating(self.generator), autocast(self.device, self.config.amp):
            columns = self.recipe.pictures(few)
        save_grid(self.out / "samples" / f"{self.step:07d}.png", columns)

    def save(self) -> None:
        """Write the checkpoint and the exported weights, each atomically."""
        tensors = {
            **with_prefix("generator", self.generator.state_dict()),
            **with_prefix("discriminators", self.discriminators.state_dict()),
            **with_prefix("generator_optimizer", optimizer_tensors(self.generator_optimizer)),
            **with_prefix("discriminator_optimizer", optimizer_tensors(self.discriminator_optimizer)),
            **(with_prefix("average", self.average.state_dict()) if self.average is not None else {}),
            "rng": torch.get_rng_state(),
        }
        config = dataclasses.asdict(self.recipe.config)
        about = {"task": self.recipe.name, "config": config, "step": self.step, "deform": __version__}
        save_tensors(self.out / "checkpoint.safetensors", tensors, about)
        best = self.average if self.average is not None else self.generator
        export_generator(self.out / "weights.safetensors", best, self.recipe.name, config["generator"], self.step)

    def restore(self, path: Path) -> None:
        """Go on from a checkpoint. Raises WeightsError if it is damaged, UsageError if it is of another run."""
        tensors, about = load_tensors(path)
        _check_same_run(path, about, self.recipe)
        fill_network(self.generator, without_prefix("generator", tensors), path)
        fill_network(self.discriminators, without_prefix("discriminators", tensors), path)
        if self.average is not None:
            fill_network(self.average, without_prefix("average", tensors), path)
        restore_optimizer(self.generator_optimizer, without_prefix("generator_optimizer", tensors))
        restore_optimizer(self.discriminator_optimizer, without_prefix("discriminator_optimizer", tensors))
        torch.set_rng_state(tensors["rng"])
        self.step = about["step"]


def _check_same_run(path: Path, about: Mapping[str, Any], recipe: Recipe) -> None:
    if about.get("task") != recipe.name or "step" not in about:
        raise UsageError(f"{path}: is no checkpoint of {recipe.name}", "name a checkpoint.safetensors of this recipe")
    generator = json.loads(json.dumps(dataclasses.asdict(recipe.config)["generator"]))
    if about["config"]["generator"] != generator:
        raise UsageError(f"{path}: has another architecture", "resume with the preset and --set of the first run")


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    network.eval()
    try:
        yield
    finally:
        network.train()


@contextmanager
def _stop_signals() -> Iterator[Callable[[], bool]]:
    """Whether SIGTERM or Ctrl-C has come: noted, so that no half-done step is saved. A second one acts as ever."""
    came: list[int] = []

    def note(number: int, _: object) -> None:
        came.append(number)
        signal.signal(number, previous[number])

    previous = {number: signal.signal(number, note) for number in STOP_SIGNALS}
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _ignore_stop_signals(_: int) -> None:
    """In a process that prepares data: the main process ends it when the step under way has ended."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


class _Relayed(Dataset):
    """Items, or the DeformError that one raised: torch would make an unreadable RuntimeError of it on its way here."""

    def __init__(self, data: Dataset) -> None:
        self.data = data

    def __getitem__(self, index: int) -> Batch | DeformError:
        try:
            return self.data[index]
        except DeformError as error:
            return error


def _collate(items: Sequence[Batch | DeformError]) -> Batch | DeformError:
    errors = (item for item in items if isinstance(item, DeformError))
    return next(errors, None) or default_collate(items)


def _learn(optimizer: torch.optim.Optimizer, loss: Tensor, clip: float = 0.0) -> bool:
    """One optimizer step down `loss`, its gradient's norm at most `clip`; False, and no step, if one is not finite."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    norm = nn.utils.clip_grad_norm_(parameters, clip or math.inf)
    finite = bool(torch.isfinite(loss + norm))
    if finite:
        optimizer.step()
    return finite
