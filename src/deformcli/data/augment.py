"""What cameras and files do to a picture: applied to inputs only, so that the networks learn to look past it."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor


def degrade(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Random colour cast, contrast, blur, noise and JPEG artefacts, each mild. (3, H, W) in [-1, 1], likewise back."""
    picture = (image.permute(1, 2, 0).numpy() + 1) / 2
    if rng.random() < 0.8:
        gamma = np.exp(rng.normal(0, 0.12) + rng.normal(0, 0.04, 3))
        picture = np.clip(picture, 1e-4, 1) ** gamma * np.exp(rng.normal(0, 0.06) + rng.normal(0, 0.03, 3))
    if rng.random() < 0.3:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.3, 1.2))
    if rng.random() < 0.4:
        picture = picture + rng.normal(0, rng.uniform(0.005, 0.03), picture.shape)
    encoded = np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    if rng.random() < 0.4:
        quality = int(rng.integers(35, 95))
        encoded = cv2.imdecode(cv2.imencode(".jpg", encoded, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)
    return torch.from_numpy(encoded).permute(2, 0, 1).float() / 127.5 - 1
