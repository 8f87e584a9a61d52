"""What makes pairs of rendered or turned heads as varied as photos: light, cameras, files, and what is in the way."""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from deformcli.images import from_unit, to_tensor
from deformcli.warp import mesh_grid

from .sources import Pair


def relight(pair: Pair, rng: np.random.Generator) -> Pair:
    """Another exposure and tint for both views, and where the flow is known often light from one side.

    The light lies on the head: a pixel of the turned view gets what its place on the frontal one gets.
    """
    gamma = np.exp(rng.normal(0, 0.15))
    gain = np.exp(rng.normal(0, 0.1) + rng.normal(0, 0.06, 3))
    side = rng.normal(0, 0.35) if rng.random() < 0.5 and _dense(pair) else 0.0
    direction, place, softness = rng.uniform(-np.pi, np.pi), rng.normal(0, 0.3), rng.uniform(0.15, 0.6)
    tint = 1 + rng.normal(0, 0.2, 3)

    def lit(image: Tensor, at: Tensor) -> Tensor:
        across = at[0] * np.cos(direction) + at[1] * np.sin(direction) - place
        light = torch.from_numpy(side * tint).float().view(3, 1, 1) * torch.tanh(across / softness)
        picture = ((image + 1) / 2).clamp_min(1e-4) ** float(gamma)
        picture = picture * torch.from_numpy(gain).float().view(3, 1, 1) * light.exp()
        return picture.clamp(0, 1) * 2 - 1

    here = mesh_grid(*pair.target.shape[1:])[0]
    there = here if not _dense(pair) else here + pair.flow * (2 / pair.target.shape[-1])
    return pair._replace(image=lit(pair.image, there), target=lit(pair.target, here))


def _dense(pair: Pair) -> bool:
    return pair.flow is not None and not pair.sparse


def occlude(pair: Pair, rng: np.random.Generator) -> Pair:
    """Something in front of the turned face, such as a hand, a strand or a microphone: not `seen` from the front."""
    size = pair.image.shape[-1]
    mask = np.zeros((size, size), np.float32)
    start = rng.uniform(0.1, 0.9, 2)
    points = start + np.cumsum(rng.normal(0, 0.12, (int(rng.integers(2, 6)), 2)), 0)
    thickness = max(1, round(size * np.exp(rng.uniform(np.log(0.02), np.log(0.22)))))
    cv2.polylines(mask, [np.round(points * size * 8).astype(np.int32)], False, 1.0, thickness, shift=3)
    mask = torch.from_numpy(cv2.GaussianBlur(mask, (0, 0), 0.7))[None]
    texture = torch.from_numpy(rng.normal(0, rng.uniform(0, 0.3), (1, 3, 8, 8))).float()
    colour = torch.from_numpy(rng.uniform(-1, 1, (3, 1, 1))).float()
    cover = (colour + F.interpolate(texture, (size, size), mode="bicubic")[0]).clamp(-1, 1)
    image = pair.image + mask * (cover - pair.image)
    return pair._replace(image=image, seen=None if pair.seen is None else pair.seen * (mask < 0.1))


def degrade(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Random colour cast, blur, low resolution, noise and JPEG artefacts. (3, H, W) in [-1, 1], likewise back.

    For inputs alone, so that the networks learn to look past it; the cast is slight, since colours are to be kept.
    """
    picture = (image.permute(1, 2, 0).numpy() + 1) / 2
    height, width = picture.shape[:2]
    if rng.random() < 0.5:
        picture = np.clip(picture, 1e-4, 1) ** np.exp(rng.normal(0, 0.05)) * np.exp(rng.normal(0, 0.02, 3))
    if rng.random() < 0.3:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.3, 1.5))
    if rng.random() < 0.15:
        share = rng.uniform(0.4, 0.9)
        small = cv2.resize(picture, (round(width * share), round(height * share)), interpolation=cv2.INTER_AREA)
        picture = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    if rng.random() < 0.4:
        picture = picture + rng.normal(0, rng.uniform(0.005, 0.04), picture.shape)
    encoded = from_unit(picture)
    if rng.random() < 0.4:
        quality = int(rng.integers(25, 95))
        encoded = cv2.imdecode(cv2.imencode(".jpg", encoded, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)
    return to_tensor(encoded)[0]
