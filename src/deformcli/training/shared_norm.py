"""Batch normalisation over the items of all processes: several learn what one would learn of all their items."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce


class SharedBatchNorm(nn.BatchNorm2d):
    """`BatchNorm2d` whose mean and variance are those of all processes, which bring equal shapes.

    torch's own SyncBatchNorm is for GPUs alone.
    """

    @torch.compiler.disable
    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        values, count = input.float(), dist.get_world_size()
        mean = all_reduce(values.mean((0, 2, 3), keepdim=True)) / count
        variance = all_reduce((values - mean).square().mean((0, 2, 3), keepdim=True)) / count
        self._remember(mean.flatten(), variance.flatten(), count * values.numel() // values.shape[1])
        made = (values - mean) * (variance + self.eps).rsqrt()
        if self.affine:
            made = made * self.weight.view_as(mean) + self.bias.view_as(mean)
        return made.to(input.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor, count: int) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked += 1
        rate = 1 / self.num_batches_tracked.item() if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, rate)
        self.running_var.lerp_(variance * count / (count - 1), rate)


def share_norms(network: nn.Module) -> None:
    """Let all batch normalisation in a network be shared; parameters, buffers and their names stay."""
    for module in network.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = SharedBatchNorm
