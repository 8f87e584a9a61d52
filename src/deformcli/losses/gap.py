"""The game against the gap discriminator, which guesses the known pixels from the filled picture (3.12)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from .reconstruction import masked_mean


def gap_loss(logits: Tensor, known: Tensor) -> Tensor:
    """Discriminator's loss (3.12): cross-entropy of its guess (N, 1, H, W), known and hole pixels weighing the same."""
    return masked_mean(-F.logsigmoid(logits), known) + masked_mean(-F.logsigmoid(-logits), 1 - known)


def gap_fooling_loss(logits: Tensor, known: Tensor) -> Tensor:
    """Generator's loss: -log of the discriminator's belief that holes were known, meaned over them. Section 3.3."""
    return masked_mean(-F.logsigmoid(logits), 1 - known)
