"""One training step: the generator learns to fool the discriminators, and they to tell its pictures from real ones."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from deformcli.data.loading import Batch
from deformcli.errors import DeformError
from deformcli.recipes.recipe import Recipe, TrainingConfig
from deformcli.runtime.device import autocast, network_layout
from deformcli.runtime.memory import is_out_of_memory, largest_that_fits
from deformcli.weights.networks import fill_network

from .checkpoint import optimizer_tensors, restore_optimizer, with_prefix, without_prefix
from .processes import Processes
from .shared_norm import share_norms

Losses = dict[str, float]
MAX_BAD_STEPS = 10


class TrainingStep:
    """A recipe's networks on their device, their optimizers, and one step of both sides.

    Each process computes its share of a step, all learn the same.
    """

    def __init__(self, recipe: Recipe, processes: Processes) -> None:
        self.recipe, self.config, self.processes = recipe, recipe.config.training, processes
        device = processes.device
        layout = network_layout(device)
        self.generator = recipe.generator.to(device).to(memory_format=layout)
        self.discriminators = recipe.discriminators.to(device).to(memory_format=layout)
        if processes.count > 1:
            share_norms(self.generator)
            share_norms(self.discriminators)
        self.average = copy.deepcopy(self.generator).requires_grad_(False) if self.config.ema else None
        self.generator_optimizer = _adam(self.generator, self.config.generator_lr)
        self.discriminator_optimizer = _adam(self.discriminators, self.config.discriminator_lr)
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.config.amp == "fp16")
        self.bad_steps = 0  # in a row
        self.skipped = 0  # in all
        if self.config.compile:
            for network in (*self.generator.children(), *self.discriminators.children()):
                network.compile()

    @property
    def exported(self) -> nn.Module:
        """The generator that others are to use: its running average if there is one."""
        return self.generator if self.average is None else self.average

    def __call__(self, batch: Batch, step: int) -> Losses:
        """One step of both sides; if a loss or gradient is not finite, neither moves.

        Raises:
            DeformError: not finite again and again, or not enough memory. After any error in the losses, the networks
                are as before the step.
        """
        statistics = [(b, b.clone()) for side in (self.generator, self.discriminators) for b in side.buffers()]

        # gradients of both sides' losses
        try:
            losses, norms = self._find_gradients(batch, step)
        except Exception as error:
            remedy = self._what_fits(batch, step) if is_out_of_memory(error) else ""
            _restore_buffers(statistics)
            if not remedy:
                raise
            raise DeformError(f"step {step}: out of memory", remedy) from error

        # a step that is not finite is none
        losses = self.processes.mean_of(losses)  # not finite where one of them is not
        wrong = not all(map(math.isfinite, losses.values()))
        if wrong or not all(map(math.isfinite, norms)):
            _restore_buffers(statistics)
            return self._skip(step, overflow=not wrong)
        self.bad_steps = 0

        # Adam, and the running average of what it makes of the generator
        for group in self.generator_optimizer.param_groups:
            group["lr"] = self.config.generator_lr * learning_rate(self.config, step)
        self.generator_optimizer.step()
        self.discriminator_optimizer.step()
        self.scaler.update()
        if self.average is not None:
            update_average(self.average, self.generator, min(self.config.ema, (1 + step) / (10 + step)))
        return {name: round(value, 6) for name, value in losses.items()}

    def _find_gradients(self, batch: Batch, step: int) -> tuple[Losses, list[float]]:
        """Both sides' gradients, of all processes, the generator's clipped; this one's loss terms; gradients' norms."""
        for optimizer in (self.generator_optimizer, self.discriminator_optimizer):
            optimizer.zero_grad(set_to_none=True)
        count = len(next(iter(batch.values()))) // self.config.grad_accum
        parts = [self._backward(_items(batch, i * count, count), step) for i in range(self.config.grad_accum)]
        names = dict.fromkeys(name for part in parts for name in part)  # data may bring terms that other data lack
        terms = {name: torch.stack([part[name] for part in parts if name in part]).mean() for name in names}
        self._average_over_processes()
        norms = []
        for optimizer, clip in ((self.generator_optimizer, self.config.clip), (self.discriminator_optimizer, 0.0)):
            self.scaler.unscale_(optimizer)
            parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            norms.append(nn.utils.clip_grad_norm_(parameters, clip or math.inf))
        values = torch.stack([*terms.values(), *norms]).tolist()  # the one wait for the device in a step
        return dict(zip(terms, values[: len(terms)], strict=True)), values[len(terms) :]

    def _backward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Add the gradients of a part of the step's items; the loss terms."""
        device, amp = self.processes.device, self.config.amp
        zero = torch.zeros((), device=device)

        # generator: fool the discriminators, who do not learn from it
        with autocast(device, amp), frozen(self.discriminators):
            terms, made = self.recipe.generator_losses(batch, step)
            total = sum(terms.values(), zero)
        self.scaler.scale(total / self.config.grad_accum).backward()

        # discriminators: tell real from made
        told: dict[str, Tensor] = {}
        if step >= self.config.adversarial_from and made is not None and len(self.discriminators):
            with autocast(device, amp):
                told = self.recipe.discriminator_losses(batch, made)
            self.scaler.scale(sum(told.values(), zero) / self.config.grad_accum).backward()
        return {name: value.detach().float() for name, value in {"total": total, **terms, **told}.items()}

    def _average_over_processes(self) -> None:
        """Let all processes have the mean of what each has found: gradients, and what normalisation has seen."""
        if self.processes.count == 1:
            return
        sides = (self.generator, self.discriminators)
        parameters = [p for side in sides for p in side.parameters()]
        found = torch.tensor([float(p.grad is not None) for p in parameters], device=self.processes.device)
        self.processes.average([found])
        used = [p for p, share in zip(parameters, found.tolist(), strict=True) if share]
        for parameter in used:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        statistics = [b for side in sides for b in side.buffers() if b.is_floating_point()]
        self.processes.average([*(p.grad for p in used if p.grad is not None), *statistics])

    def _skip(self, step: int, overflow: bool) -> Losses:
        """Count a step that was not finite (`overflow`: in its gradients alone); give up when this goes on and on."""
        searching = overflow and self.scaler.is_enabled() and self.scaler.get_scale() > 1
        self.scaler.update()
        self.skipped += 1
        self.bad_steps += not searching  # fp16 gradients that overflowed: their scale is halved, and all is well
        if self.bad_steps >= MAX_BAD_STEPS:
            raise DeformError(
                f"step {step}: {MAX_BAD_STEPS} losses in a row were not finite",
                "lower training.generator_lr, set training.clip=1 or --amp off, and --resume auto",
            )
        return {"skipped": float(self.skipped)}

    def _what_fits(self, batch: Batch, step: int) -> str:
        """What to do about too little memory, having tried smaller parts."""
        if self.processes.count > 1:  # the others do not take part in trying
            return f"--grad-accum {2 * self.config.grad_accum}, or a smaller --batch-size"
        items = len(next(iter(batch.values()))) // self.config.grad_accum
        fits = largest_that_fits(lambda count: self._backward(_items(batch, 0, count), step), items)
        if not fits:
            return f"{items} items at a time do not fit, nor does 1: lower training.size or the networks' widths"
        parts = self.config.grad_accum * items // fits
        return f"{items} items at a time do not fit, {fits} do: --grad-accum {parts}, or a smaller --batch-size"

    def tensors(self) -> dict[str, Tensor]:
        """Everything that the next step depends on."""
        return {
            **with_prefix("generator", self.generator.state_dict()),
            **with_prefix("discriminators", self.discriminators.state_dict()),
            **with_prefix("generator_optimizer", optimizer_tensors(self.generator_optimizer)),
            **with_prefix("discriminator_optimizer", optimizer_tensors(self.discriminator_optimizer)),
            **(with_prefix("average", self.average.state_dict()) if self.average is not None else {}),
        }

    def restore(self, tensors: Mapping[str, Tensor], path: Path) -> None:
        """Put back what `tensors` gave; an average that it does not have begins with the generator as it is.

        Raises WeightsError naming `path` if it does not fit.
        """
        fill_network(self.generator, without_prefix("generator", tensors), path)
        fill_network(self.discriminators, without_prefix("discriminators", tensors), path)
        if self.average is not None:
            average = without_prefix("average", tensors) or without_prefix("generator", tensors)
            fill_network(self.average, average, path)
        restore_optimizer(self.generator_optimizer, without_prefix("generator_optimizer", tensors))
        restore_optimizer(self.discriminator_optimizer, without_prefix("discriminator_optimizer", tensors))


def learning_rate(config: TrainingConfig, step: int) -> float:
    """Share of the generator's learning rate: linear warm-up, then constant or a cosine to 0.

    A function of the step alone, so that a resumed run has no scheduler to bring back.
    """
    rise = min(1.0, (step + 1) / config.warmup) if config.warmup else 1.0
    fall = (1 + math.cos(math.pi * step / config.steps)) / 2 if config.decay else 1.0
    return rise * fall


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move a running average on to what the network has become: decay * average + (1 - decay) * network.

    Means and variances of normalisation are averaged too, and counts copied, unlike torch's `AveragedModel`, which
    also takes the first value as it is.
    """
    for mean, value in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(value, 1 - decay)
        else:
            mean.copy_(value)


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Use `module` without teaching it: its parameters take no gradient, its inputs still do."""
    parameters = [p for p in module.parameters() if p.requires_grad]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


def _adam(network: nn.Module, rate: float) -> torch.optim.Adam:
    fused = all(p.device.type in ("cpu", "cuda") for p in network.parameters())
    return torch.optim.Adam([{"params": list(network.parameters())}], rate, (0.5, 0.999), fused=fused)


def _items(batch: Batch, first: int, count: int) -> Batch:
    return {key: value[first : first + count] for key, value in batch.items()}


@torch.no_grad()
def _restore_buffers(statistics: Sequence[tuple[Tensor, Tensor]]) -> None:
    """Undo what forward passes leave in networks."""
    for buffer, before in statistics:
        buffer.copy_(before)
