"""Who is it: the networks that know faces, by name, and pictures as each wants to see them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .embedders import MobileFaceNet, load_frozen
from .light_cnn import LightCNN29

ARCFACE = np.array([(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)])
"""Where ArcFace-style networks want eyes, nose tip and corners of the mouth (image left first) in 112 x 112 pixels."""


@dataclass(frozen=True)
class IdentityNetwork:
    """An architecture, and the pictures it wants: `side` pixels wide, with the five points of a face at `points`.

    Faces come `stretch` times as wide as they are.
    """

    build: Callable[[], nn.Module]
    side: int
    points: np.ndarray
    stretch: float = 1.0


def _scaled(eyes: tuple[float, float], eyes_to_mouth: float) -> np.ndarray:
    """ARCFACE moved and scaled: the eyes' middle at `eyes`, so far above the mouth's middle."""
    middle, mouth = ARCFACE[:2].mean(0), ARCFACE[3:].mean(0)
    return (ARCFACE - middle) * (eyes_to_mouth / (mouth - middle)[1]) + eyes


class _InceptionResnet(nn.Module):
    """facenet-pytorch's InceptionResnetV1: 512 numbers of length 1 of (N, 3, 160, 160) in [-1, 1]."""

    def __init__(self) -> None:
        super().__init__()
        from facenet_pytorch import InceptionResnetV1

        self.network = InceptionResnetV1()

    def load_state_dict(self, state_dict, strict: bool = True, assign: bool = False):
        """Leave out the classifier of the people it was trained on."""
        kept = {key: value for key, value in state_dict.items() if not key.startswith("logits.")}
        return self.network.load_state_dict(kept, strict, assign)

    def forward(self, image: Tensor) -> Tensor:
        return self.network(image)


NETWORKS = {
    "mobilefacenet": IdentityNetwork(MobileFaceNet, 112, ARCFACE),
    # As facenet-pytorch cuts faces out: MTCNN's boxes made square. These are the points' mean places in them.
    "inception-resnet-v1": IdentityNetwork(_InceptionResnet, 160, _scaled((80, 64), 53.2), stretch=1.35),
    "light-cnn-29": IdentityNetwork(LightCNN29, 128, _scaled((64, 40), 48)),
}


def align(image: Tensor, points: np.ndarray, kind: IdentityNetwork) -> Tensor:
    """Pictures (N, 3, H, W) as a network wants them, by the `points` (N, 5, 2) of their faces: (N, 3, side, side).

    By the similarity of least squares; points are x, y in pixels, centres at whole numbers. The edge repeats.
    """
    found, goal = points @ (1, 1j), kind.points @ (1, 1j)  # as complex numbers, a similarity is a factor and a shift
    middle, goal_middle = found.mean(1, keepdims=True), goal.mean()
    spread = np.square(abs(found - middle)).sum(1, keepdims=True)
    factor = ((found - middle).conj() * (goal - goal_middle)).sum(1, keepdims=True) / spread.clip(1e-6)

    shrink = int(1 / np.median(abs(factor)).clip(1e-6))
    if 1 < shrink < min(image.shape[2:]):  # average large pictures first: bilinear sampling alone would alias
        image, middle = F.avg_pool2d(image, shrink), (middle + 0.5 + 0.5j) / shrink - (0.5 + 0.5j)
        factor = factor * shrink
    x, y = np.meshgrid(np.arange(kind.side), np.arange(kind.side))
    x = (x - goal_middle.real) / kind.stretch + goal_middle.real
    source = ((x + 1j * y).reshape(1, -1) - goal_middle) / factor + middle  # (N, side * side)
    height, width = image.shape[2:]
    grid = np.stack([(source.real + 0.5) / width, (source.imag + 0.5) / height], -1) * 2 - 1
    grid = torch.from_numpy(grid.reshape(-1, kind.side, kind.side, 2).astype(np.float32)).to(image)
    return F.grid_sample(image, grid, padding_mode="border", align_corners=False)


def crop_points(height: int, width: int) -> np.ndarray:
    """Where MTCNN finds the five points of a frontal face crop on average, (5, 2)."""
    return _scaled((0.5, 0.3), 0.35) * (width, height) - 0.5


class FacePoints:
    """Five points of the surest face in each picture, by MTCNN (Zhang et al. 2016) as in facenet-pytorch."""

    def __init__(self, device: torch.device) -> None:
        from facenet_pytorch import MTCNN

        self.network = MTCNN(keep_all=True, device=device)

    def __call__(self, image: Tensor) -> list[np.ndarray | None]:
        """Points (5, 2) for each of (N, 3, H, W) in [-1, 1], image left first; None where there is no face."""
        if min(image.shape[2:]) < 20:  # MTCNN's smallest face; it fails on smaller pictures
            return [None] * len(image)
        pixels = ((image + 1) * 127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()
        _, scores, points = self.network.detect(pixels, landmarks=True)
        return [
            None if found is None else np.array(found[int(np.argmax(sure))], float)
            for found, sure in zip(points, scores, strict=True)
        ]


class Identifier:
    """Face embeddings of pictures whose points are known or found."""

    def __init__(self, name: str, path: Path, device: torch.device) -> None:
        """Raises WeightsError if the file holds no weights of that network."""
        self.kind = NETWORKS[name]
        self.network = load_frozen(self.kind.build(), path).to(device)

    def __call__(self, image: Tensor, points: np.ndarray) -> Tensor:
        """Unit vectors (N, K) of pictures (N, 3, H, W) in [-1, 1] with five points (N, 5, 2) each."""
        return self.network(align(image, points, self.kind))
