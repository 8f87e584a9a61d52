"""Can filled pixels be told from the others? A new gap discriminator learns on some pictures, and meets the rest."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from deformcli import losses
from deformcli.models.discriminators import GapDiscriminator
from deformcli.runtime.device import autocast, network_layout

STEPS, BATCH, RATE = 100, 8, 1e-3


def gap_auc(images: Tensor, known: Tensor, people: np.ndarray, seed: int, device: torch.device) -> np.ndarray:
    """How well a fresh gap discriminator (section 3.2) finds the holes of each picture: (N,) areas under its ROC curve.

    0.5 is no better than a guess. Each picture is shown to a discriminator that was trained on other people's.

    Args:
        images: (N, 3, H, W) in [-1, 1], H and W multiples of 4.
        known: (N, 1, H, W), 0 = hole; a picture without holes, or with nothing else, counts as 0.5.
        people: (N,) numbers of who is in them, from 0; NaN is returned where there is one alone.
    """
    half = people % 2
    if len(set(half)) < 2:
        return np.full(len(people), np.nan)
    values = np.empty(len(people))
    for fold in (0, 1):
        discriminator = _trained(images[half != fold], known[half != fold], seed, device)
        for index in np.flatnonzero(half == fold):
            with autocast(device, "auto"):
                belief = discriminator(images[index, None].to(device))[0].float().cpu()
            values[index] = area_under_curve(belief.flatten(), known[index].flatten() > 0)
    return values


def _trained(images: Tensor, known: Tensor, seed: int, device: torch.device) -> GapDiscriminator:
    """A discriminator that has seen STEPS batches."""
    random = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        discriminator = GapDiscriminator().to(device).to(memory_format=network_layout(device))
    optimizer = torch.optim.Adam(discriminator.parameters(), RATE)
    for _ in range(STEPS):
        some = torch.randint(len(images), (BATCH,), generator=random)
        with autocast(device, "auto"):
            belief = discriminator(images[some].to(device))
        loss = losses.gap_loss(belief.float(), known[some].to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return discriminator.eval().requires_grad_(False)


def area_under_curve(score: Tensor, positive: Tensor) -> float:
    """Area under the ROC curve of scores (N,) for what is `positive` (N,) bool; 0.5 if all are or none."""
    ones = int(positive.sum())
    zeros = len(positive) - ones
    if not ones or not zeros:
        return 0.5
    _, group, count = score.unique(return_inverse=True, return_counts=True)
    rank = count.cumsum(0).double() - (count - 1) / 2  # the mean rank of equal scores
    return float((rank[group][positive].sum() - ones * (ones + 1) / 2) / (ones * zeros))
