"""The identity loss: the output must remain the same person to a frozen face embedder."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def identity_loss(embedding: Tensor, target_embedding: Tensor) -> Tensor:
    """Euclidean distance of two embeddings (N, K) over K, meaned over the batch. Thesis section 3.3."""
    return (embedding - target_embedding).norm(dim=1).mean() / embedding.shape[1]


def cosine_identity_loss(embedding: Tensor, target_embedding: Tensor) -> Tensor:
    """1 - cosine of two embeddings (N, K), meaned over the batch: the same wish, indifferent to their length."""
    return 1 - F.cosine_similarity(embedding, target_embedding, dim=1).mean()
