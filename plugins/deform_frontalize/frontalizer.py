"""The frontalizer to call: weights in, frontal faces out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from deformcli.faces import SIZE, Square, crop, native_size
from deformcli.images import to_tensor, to_uint8
from deformcli.options import NetworkOptions
from deformcli.runtime import choose_device
from deformcli.weights import build_generator, resolve_weights

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

    @classmethod
    def load(cls, options: NetworkOptions) -> Frontalizer:
        """The network that a user chose. Raises WeightsError if it is not to be had."""
        path = resolve_weights(options.weights or "frontalize-128", task="frontalize", offline=options.offline)
        return cls.from_weights(path, choose_device(options.device))

    @torch.inference_mode()
    def __call__(self, faces: Tensor) -> Frontalized:
        made = self.generator(faces.to(self.device))
        return made._replace(output=made.output.clamp(-1, 1))

    def each(self, crops: Sequence[np.ndarray], batch_size: int) -> Iterator[Frontalized]:
        """What the network makes of each crop (128, 128, 3) uint8, so many at once."""
        for start in range(0, len(crops), batch_size):
            made = self(torch.cat([to_tensor(one) for one in crops[start : start + batch_size]]))
            for i in range(len(made.output)):
                yield Frontalized(*(None if part is None else part[i : i + 1] for part in made))

    @torch.inference_mode()
    def at_size(self, face: Tensor, made: Frontalized) -> Tensor:
        """The frontal view of a larger crop (1, 3, S, S) of the face that `made` is of, with the crop's detail."""
        return enlarge(face.to(self.device), made, self.generator.config)

    def view(self, rgb: np.ndarray, square: Square | None, made: Frontalized, *, native: bool) -> np.ndarray:
        """The frontal view (S, S, 3) uint8 of the face in a square of `rgb` (H, W, 3), at 128 pixels or its own."""
        size = native_size(rgb, square) if native else SIZE
        if size == SIZE:
            return to_uint8(made.output)
        return to_uint8(self.at_size(to_tensor(crop(rgb, square, size)), made))
