"""The processes that train together: one alone, or those that `torchrun` or `accelerate launch` started."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
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
        from accelerate.utils import reduce

        flat = reduce(torch.cat([tensor.detach().float().flatten() for tensor in tensors]), "mean")
        for tensor, mean in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.detach().copy_(mean.view_as(tensor))

    def any(self, flag: bool) -> bool:
        """Whether any process says so."""
        if self.count == 1:
            return flag
        vote = torch.tensor(float(flag), device=self.device)
        self.average([vote])
        return vote.item() > 0

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
    from accelerate import PartialState

    state = PartialState(cpu=place.type == "cpu")
    try:
        yield Processes(place if place.type == "cpu" else state.device, state.process_index, state.num_processes)
    finally:
        state.destroy_process_group()
