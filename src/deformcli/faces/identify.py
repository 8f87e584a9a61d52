"""Who is it: the networks that know faces, by name, and pictures as each wants to see them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from deformcli.models import LightCNN29, MobileFaceNet
from deformcli.weights.networks import load_frozen

from .align import align
from .facenet import network
from .framing import ARCFACE, arcface_at


@dataclass(frozen=True)
class IdentityNetwork:
    """An architecture, and the pictures it wants: `side` pixels wide, with the five points of a face at `points`.

    Faces come `stretch` times as wide as they are.
    """

    build: Callable[[], nn.Module]
    side: int
    points: np.ndarray
    stretch: float = 1.0


class _InceptionResnet(nn.Module):
    """facenet-pytorch's InceptionResnetV1: 512 numbers of length 1 of (N, 3, 160, 160) in [-1, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.network = network("inception_resnet_v1", "InceptionResnetV1")()

    def load_state_dict(self, state_dict, strict: bool = True, assign: bool = False):
        """Leave out the classifier of the people it was trained on."""
        kept = {key: value for key, value in state_dict.items() if not key.startswith("logits.")}
        return self.network.load_state_dict(kept, strict, assign)

    def forward(self, image: Tensor) -> Tensor:
        return self.network(image)


NETWORKS = {
    "mobilefacenet": IdentityNetwork(MobileFaceNet, 112, ARCFACE),
    # As facenet-pytorch cuts faces out: MTCNN's boxes made square. These are the points' mean places in them.
    "inception-resnet-v1": IdentityNetwork(_InceptionResnet, 160, arcface_at((80, 64), 53.2), stretch=1.35),
    "light-cnn-29": IdentityNetwork(LightCNN29, 128, arcface_at((64, 40), 48)),
}


class Identifier:
    """Face embeddings of pictures whose points are known or found."""

    def __init__(self, name: str, path: Path, device: torch.device) -> None:
        """Raises WeightsError if the file holds no weights of that network."""
        self.kind = NETWORKS[name]
        self.network = load_frozen(self.kind.build(), path).to(device)

    def __call__(self, image: Tensor, points: np.ndarray) -> Tensor:
        """Unit vectors (N, K) of pictures (N, 3, H, W) in [-1, 1] with five points (N, 5, 2) each."""
        return self.network(align(image, points, self.kind.points, self.kind.side, self.kind.stretch))
