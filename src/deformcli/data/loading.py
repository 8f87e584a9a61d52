"""Items of a data set as batches, prepared by other processes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import typer
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from deformcli.errors import DeformError, UsageError

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
    for batch in loader:
        if isinstance(batch, DeformError):
            raise batch
        yield batch


class Relayed(Dataset):
    """Items, or the DeformError that one raised: torch would make an unreadable RuntimeError of it on its way here."""

    def __init__(self, data: Dataset) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> Batch | DeformError:
        try:
            return self.data[index]
        except DeformError as error:
            return error


def collate(items: Sequence[Batch | DeformError]) -> Batch | DeformError:
    errors = (item for item in items if isinstance(item, DeformError))
    return next(errors, None) or default_collate(list(items))


def _collate_readable(items: Sequence[Batch | DeformError]) -> tuple[Batch | None, list[str]] | DeformError:
    """A batch of the items that can be read, if there are any, and what is wrong with the others."""
    causes = [item.cause for item in items if isinstance(item, UsageError)]
    batch = collate(there) if (there := [item for item in items if not isinstance(item, UsageError)]) else None
    return batch if isinstance(batch, DeformError) else (batch, causes)
