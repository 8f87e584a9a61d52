"""The identity loss: the output must remain the same person to a frozen face embedder."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

# The embedder's view within a frontal crop, in the crop's [-1, 1] coordinates: half side, centre y. It maps the crop's
# eyes (a third down) and mouth onto the places where ArcFace-style embedders expect them.
VIEW_SCALE, VIEW_Y = 0.903, -0.269


def face_view(image: Tensor, size: int = 112) -> Tensor:
    """Cut the embedder's view (N, 3, size, size) out of frontal crops (N, 3, H, W), both in [-1, 1]."""
    theta = image.new_tensor([[VIEW_SCALE, 0, 0], [0, VIEW_SCALE, VIEW_Y]]).expand(image.shape[0], 2, 3)
    grid = F.affine_grid(theta, [image.shape[0], image.shape[1], size, size], align_corners=False)
    return F.grid_sample(image, grid.to(image.dtype), padding_mode="border", align_corners=False)


def identity_loss(embedding: Tensor, target_embedding: Tensor) -> Tensor:
    """Euclidean distance of two embeddings (N, K) over K, meaned over the batch. Thesis section 3.3."""
    return (embedding - target_embedding).norm(dim=1).mean() / embedding.shape[1]


def cosine_identity_loss(embedding: Tensor, target_embedding: Tensor) -> Tensor:
    """1 - cosine of two embeddings (N, K), meaned over the batch: the same wish, indifferent to their length."""
    return 1 - F.cosine_similarity(embedding, target_embedding, dim=1).mean()
