"""Batches for the steps of a run. Item i of the data is a function of i alone: the step is the position in the data."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing

import torch
from torch.utils.data import DataLoader, Dataset

from deformcli.data.loading import Batch, Relayed, arriving, collate, to_device
from deformcli.errors import DeformError, UsageError
from deformcli.recipes.recipe import TrainingConfig
from deformcli.runtime.stop import ignore_signals

from .processes import Processes


def check_batch_size(config: TrainingConfig, processes: Processes) -> None:
    """Raise UsageError unless the processes and their parts of a step can share its items evenly."""
    shares = config.grad_accum * processes.count
    if config.batch_size % shares:
        cause = f"{config.batch_size} items cannot be shared by {processes.count} x {config.grad_accum} parts"
        raise UsageError(cause, "let --batch-size be a multiple of processes x --grad-accum")


def batches(
    open_data: Callable[[int], Dataset], config: TrainingConfig, first: int, processes: Processes
) -> Generator[Batch]:
    """This process's share of each step's items from step `first` on; the pictures grow as the config says.

    Args:
        open_data: items whose pictures have a given size.
        config: of the run.
        first: the step to begin with.
        processes: among which the items are shared.

    Raises:
        DeformError: the data fail, here or in another process: none goes on alone.
    """
    with closing(_share(open_data, config, first, processes)) as source:
        while (batch := _agreed(source, processes)) is not None:
            yield batch


def _agreed(source: Iterator[Batch], processes: Processes) -> Batch | None:
    batch, failure = None, None
    try:
        batch = next(source, None)
    except DeformError as error:
        failure = error
    if processes.any(failure is not None):
        raise failure or DeformError("another process has no data", "see what it says")
    return batch


def _share(
    open_data: Callable[[int], Dataset], config: TrainingConfig, first: int, processes: Processes
) -> Generator[Batch]:
    grown = config.grow_at if config.start_size else 0
    if first < grown:
        yield from _load(open_data(config.start_size), config, range(first, min(grown, config.steps)), processes)
    if grown < config.steps:
        yield from _load(open_data(config.size), config, range(max(first, grown), config.steps), processes)


def _load(data: Dataset, config: TrainingConfig, steps: range, processes: Processes) -> Generator[Batch]:
    share = config.batch_size // processes.count
    starts = (step * config.batch_size + processes.index * share for step in steps)
    loader = DataLoader(
        Relayed(data),
        batch_sampler=[list(range(start, start + share)) for start in starts],
        num_workers=config.workers,
        collate_fn=collate,
        worker_init_fn=ignore_signals,
        pin_memory=processes.device.type == "cuda",
        generator=torch.Generator(),  # what the loader draws for itself does not disturb the run's numbers
    )
    for batch in arriving(loader):
        yield to_device(batch, processes.device)
