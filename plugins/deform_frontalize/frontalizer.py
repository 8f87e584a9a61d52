"""The frontalizer to call: weights in, frontal faces out."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from deformcli.weights.networks import build_generator

from .full_size import enlarge
from .networks import Frontalized, Generator, GeneratorConfig


class Frontalizer:
    """Face crops (N, 3, 128, 128) in [-1, 1] -> `Frontalized` on the same device."""

    def __init__(self, generator: Generator, device: torch.device) -> None:
        self.generator = generator.to(device).eval()
        self.device = device

    @classmethod
    def from_weights(cls, path: Path, device: torch.device) -> Frontalizer:
        """Build the network a weights file describes. Raises WeightsError if it is not one of this task."""
        return cls(build_generator(Generator, GeneratorConfig, path, "frontalize"), device)

    @torch.inference_mode()
    def __call__(self, faces: Tensor) -> Frontalized:
        made = self.generator(faces.to(self.device))
        return made._replace(output=made.output.clamp(-1, 1))

    @torch.inference_mode()
    def at_size(self, face: Tensor, made: Frontalized) -> Tensor:
        """The frontal view of a larger crop (1, 3, S, S) of the face that `made` is of, with the crop's detail."""
        return enlarge(face.to(self.device), made, self.generator.config)
