"""The processes that train together: one alone, or those that `torchrun` or `accelerate launch` started.

Both tell a process its place by the same environment variables.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from deformcli.runtime.device import choose_device


@dataclass(frozen=True)
class Processes:
    """Where this process stands among those that train together."""

    device: torch.device
    index: int = 0
    count: int = 1

    @property
    def leading(self) -> bool:
        """Whether this is the one that writes, evaluates and speaks."""
        return self.index == 0

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Put the mean over all processes, of which there are several, into each tensor; all bring the same shapes."""
        flat = torch.cat([tensor.detach().float().flatten() for tensor in tensors])
        dist.all_reduce(flat)
        flat /= self.count
        for tensor, mean in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.detach().copy_(mean.view_as(tensor))

    def any(self, flag: bool) -> bool:
        """Whether any process says so."""
        if self.count == 1:
            return flag
        vote = torch.tensor(float(flag), device=self.device)
        self.average([vote])
        return vote.item() > 0

    def mean_of(self, numbers: Mapping[str, float]) -> dict[str, float]:
        """The mean of each number over the processes that have it."""
        if self.count == 1:
            return dict(numbers)
        every: list[Any] = [None] * self.count
        dist.all_gather_object(every, dict(numbers))
        names = dict.fromkeys(name for one in every for name in one)
        found = {name: [one[name] for one in every if name in one] for name in names}
        return {name: sum(values) / len(values) for name, values in found.items()}

    def wait(self) -> None:
        """Go on when all have come here."""
        self.any(False)


@contextmanager
def joined(device: str) -> Iterator[Processes]:
    """This process on its device, among the others if a launcher started several. Raises UsageError."""
    place = choose_device(device)
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Processes(place)
        return
    if place.type == "cuda":  # each process of a machine has a GPU of its own
        place = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(place)
    dist.init_process_group("nccl" if place.type == "cuda" else "gloo")
    try:
        yield Processes(place, dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()
