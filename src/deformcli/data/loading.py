"""Items of a data set as batches, prepared by other processes."""

from __future__ import annotations

import signal
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from multiprocessing import Process
from typing import Any

import torch
import typer
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from deformcli.errors import DeformError, UsageError, one_line

Batch = dict[str, Tensor]


def to_device(batch: Batch, device: torch.device) -> Batch:
    return {key: value.to(device, non_blocking=True) for key, value in batch.items()}


class InOrder:
    """All items once, in batches of up to `size`, prepared by `workers` other processes while this one computes.

    An item that cannot be read is left out, and named in a warning; `left_out` counts such items by what is wrong.
    """

    def __init__(self, data: Dataset, size: int, workers: int = 1) -> None:
        own = torch.Generator()  # what the loader draws for itself does not disturb the process's numbers
        self.loader = DataLoader(Relayed(data), size, num_workers=workers, collate_fn=_collate_readable, generator=own)
        self.left_out = Counter[str]()

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Batch]:
        for batch, causes in arriving(self.loader):
            for cause in set(causes) - self.left_out.keys():
                typer.echo(f"warning: {cause}; it is left out", err=True)
            self.left_out.update(causes)
            if batch is not None:
                yield batch


def arriving(loader: DataLoader) -> Iterator[Any]:
    """The batches of a loader of `Relayed` items; its processes end when this does, whatever they are at.

    Raises:
        DeformError: an item or a batch cannot be made, or a process that prepares them has ended.
    """
    source = _started(loader)
    workers: Sequence[Process] = getattr(source, "_workers", ())
    try:
        while (batch := _next(source, workers)) is not None:
            yield batch
    finally:
        if workers:
            source._shutdown_workers()
        for worker in workers:  # torch sends SIGTERM, which they may ignore
            worker.kill()


def _started(loader: DataLoader) -> Any:
    """The loader's iterator.

    torch would raise the error of a dead worker in the midst of whatever this process does, by the signal; the wait
    for its batch tells of it too.
    """
    before = signal.getsignal(signal.SIGCHLD)
    source = iter(loader)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGCHLD, before)
    return source


def _next(source: Iterator[Any], workers: Sequence[Process]) -> Any:
    try:
        batch = next(source, None)
    except Exception as error:  # of torch itself: what goes wrong with items arrives as a DeformError
        codes = [worker.exitcode for worker in workers if worker.exitcode]
        how = ", ".join(f"by {signal.Signals(-code).name}" if code < 0 else f"with status {code}" for code in codes)
        cause = f"a process that prepares data ended {how}" if how else f"no data arrive: {one_line(error)}"
        raise DeformError(
            cause, "if memory ran out, free some, or let fewer prepare data (training.workers)"
        ) from error
    if isinstance(batch, DeformError):
        raise batch
    return batch


class Relayed(Dataset):
    """Items, or the error that one raised: torch would make an unreadable one of it on its way here."""

    def __init__(self, data: Dataset) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> Batch | DeformError:
        try:
            return self.data[index]
        except Exception as error:
            return failure(f"item {index} of the data", error)


def collate(items: Sequence[Batch | DeformError]) -> Batch | DeformError:
    errors = (item for item in items if isinstance(item, DeformError))
    try:
        return next(errors, None) or default_collate(list(items))
    except Exception as error:
        return failure("items do not make a batch", error)


def _collate_readable(items: Sequence[Batch | DeformError]) -> tuple[Batch | None, list[str]] | DeformError:
    """A batch of the items that can be read, if there are any, and what is wrong with the others."""
    causes = [item.cause for item in items if isinstance(item, UsageError)]
    batch = collate(there) if (there := [item for item in items if not isinstance(item, UsageError)]) else None
    return batch if isinstance(batch, DeformError) else (batch, causes)


def failure(what: str, error: Exception) -> DeformError:
    """An error that is ours as it is; any other as one that names `what`, so that it passes between processes."""
    if isinstance(error, DeformError):
        return error
    told = DeformError(f"{what}: {one_line(error)}", "DEFORM_DEBUG=1 with --set training.workers=0 shows where")
    told.__cause__ = error
    return told
