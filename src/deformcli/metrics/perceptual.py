"""How unlike two pictures look to a network trained on photos."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def perceptual_distance(features: Sequence[Tensor], target_features: Sequence[Tensor]) -> Tensor:
    """Squared distance of unit-length feature vectors, meaned over positions, summed over layers: (N,), 0 = alike.

    The maps are (N, C_k, H_k, W_k). This is LPIPS (Zhang et al. 2018) without its learned weights of the channels, so
    its numbers are not those of LPIPS.
    """
    pairs = zip(features, target_features, strict=True)
    layers = [(F.normalize(f) - F.normalize(t)).square().sum(1).mean((1, 2)) for f, t in pairs]
    return torch.stack(layers).sum(0)


def lpips(features: Sequence[Tensor], target_features: Sequence[Tensor], weights: Sequence[Tensor]) -> Tensor:
    """LPIPS (Zhang et al. 2018): `perceptual_distance` with each channel by its learned weight (C_k,): (N,)."""
    triples = zip(features, target_features, weights, strict=True)
    layers = [
        torch.einsum("nchw,c->nhw", (F.normalize(f) - F.normalize(t)).square(), w).mean((1, 2)) for f, t, w in triples
    ]
    return torch.stack(layers).sum(0)


def style_distance(features: Sequence[Tensor], target_features: Sequence[Tensor]) -> Tensor:
    """How unlike two pictures are in texture, wherever it is: (N,), 0 = alike.

    The norm of the difference of Gram matrices, as a share of the norm of the truth's, meaned over layers (after Gatys
    et al. 2016).
    """

    def gram(x: Tensor) -> Tensor:
        flat = x.flatten(2)
        return flat @ flat.transpose(1, 2) / flat.shape[2]

    pairs = [(gram(f), gram(t)) for f, t in zip(features, target_features, strict=True)]
    return torch.stack([(f - t).norm(dim=(1, 2)) / t.norm(dim=(1, 2)) for f, t in pairs]).mean(0)
