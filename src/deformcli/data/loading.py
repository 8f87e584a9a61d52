"""Items of a data set as batches, prepared by other processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from deformcli.errors import DeformError

Batch = dict[str, Tensor]


def to_device(batch: Batch, device: torch.device) -> Batch:
    return {key: value.to(device, non_blocking=True) for key, value in batch.items()}


class InOrder:
    """All items once, in batches of up to `size`, prepared by another process while this one computes.

    Iterating raises DeformError if an item cannot be read.
    """

    def __init__(self, data: Dataset, size: int) -> None:
        self.loader = DataLoader(Relayed(data), size, num_workers=1, collate_fn=collate)

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Batch]:
        return arriving(self.loader)


def arriving(loader: DataLoader) -> Iterator[Batch]:
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
