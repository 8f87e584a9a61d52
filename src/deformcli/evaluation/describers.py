"""Networks that describe pictures by numbers: who, and what, is in them. See `measurements.Describer`.

Faces are aligned by the five points that MTCNN finds in the true picture, for whatever a method made of it: an output
should have its face there. The unchanged input (the baseline `copy`) is turned, so it is aligned by its own points, as
a recogniser would take it. Where no face is found, the true picture's points serve, or those of an average crop.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from deformcli.data.loading import Batch
from deformcli.errors import WeightsError, one_line
from deformcli.faces import Identifier, Mtcnn, crop_points
from deformcli.images import quantize
from deformcli.models import CompactVGG19Features, VGG16Features
from deformcli.recipes import Predictor
from deformcli.runtime.storage import cache_dir, write_atomic
from deformcli.weights.networks import load_frozen

from .measurements import TARGET, Describer, content_hashes

COPY = "copy"
PERCEPTUAL = {"vgg-16": VGG16Features, "vgg-19-compact": CompactVGG19Features}
"""Networks whose feature maps are compared picture by picture."""


class Identities:
    """Face embeddings, as {name: (N, K)}."""

    def __init__(self, network: str, path: Path, device: torch.device, name: str) -> None:
        self.identifier, self.find, self.name = Identifier(network, path, device), Mtcnn(device).points, name
        # By the picture's sha256: true pictures come again for every method, and often for every angle.
        self.points: dict[bytes, np.ndarray | None] = {}
        self.true: dict[bytes, Tensor] = {}

    def __call__(self, image: Tensor, batch: Batch, method: str) -> dict[str, Tensor]:
        if method == TARGET:
            known = once(image, self.true, lambda some: self.identifier(some, np.stack(self._true_points(some))))
            return {self.name: torch.stack(known)}
        points = self._true_points(batch[TARGET])
        if method == COPY:
            own = self._find(image)
            points = [true if found is None else found for true, found in zip(points, own, strict=True)]
        return {self.name: self.identifier(image, np.stack(points))}

    def _true_points(self, image: Tensor) -> list[np.ndarray]:
        usual = crop_points(*image.shape[2:])
        return [usual if found is None else found for found in self._find(image)]

    def _find(self, image: Tensor) -> list[np.ndarray | None]:
        return once(image, self.points, self.find)


def once(image: Tensor, known: dict[bytes, Any], compute: Callable[[Tensor], Iterable[Any]]) -> list[Any]:
    """What `compute` makes of each picture; what it made before is `known`, by the pictures' sha256."""
    hashes = content_hashes(image)
    if new := {digest: hashes.index(digest) for digest in hashes if digest not in known}:
        known.update(zip(new, compute(image[list(new.values())]), strict=True))
    return [known[digest] for digest in hashes]


class Gaps:
    """Each picture and which of its pixels are known, as {name: (N, 4, H, W)}; nothing where a method fills nothing."""

    def __init__(self, predictors: Mapping[str, Predictor], name: str) -> None:
        self.predictors, self.name = predictors, name

    def __call__(self, image: Tensor, batch: Batch, method: str) -> dict[str, Tensor]:
        if method in self.predictors:
            known = self.predictors[method].known(batch)
        elif "known" in batch or method == TARGET:
            known = batch.get("known", torch.ones_like(image[:, :1]))
        else:
            return {}
        return {self.name: torch.cat([image, known], 1)}


class MeanFeatures:
    """The last feature map of a VGG, averaged over the picture, as {name: (N, K)}."""

    def __init__(self, network: str, path: Path, device: torch.device, name: str) -> None:
        self.network, self.name = load_frozen(PERCEPTUAL[network](), path).to(device), name

    def __call__(self, image: Tensor, batch: Batch, method: str) -> dict[str, Tensor]:
        return {self.name: self.network(image)[-1].mean((2, 3))}


class Remembered:
    """A describer that keeps its features of true pictures in the cache, by their content and the network's sha256."""

    def __init__(self, describer: Describer, sha256: str) -> None:
        self.describer, self.sha256 = describer, sha256

    def __call__(self, image: Tensor, batch: Batch, method: str) -> Mapping[str, Tensor]:
        if method != TARGET:
            return self.describer(image, batch, method)
        about = f"{type(self.describer).__name__} {self.sha256} ".encode()
        key = hashlib.sha256(about + b"".join(content_hashes(image))).hexdigest()
        path = cache_dir() / "features" / f"{key}.safetensors"
        with suppress(OSError, SafetensorError):
            return load_file(path)
        features = {name: values.cpu().contiguous() for name, values in self.describer(image, batch, method).items()}
        with suppress(OSError):  # a cache that cannot be written costs the work again, no more
            write_atomic(path, save(features))
        return features


class Inception:
    """torch-fidelity's Inception v3: {"inception": (N, 2048), "logits": (N, 1008)}.

    It resizes to 299 x 299 by the bilinear filter of TensorFlow 1, as in the first code of FID.
    """

    def __init__(self, path: Path, device: torch.device) -> None:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        pickled = io.BytesIO()  # its constructor opens pickles alone: it gets one of these tensors, made here
        torch.save(load_file(path), pickled)
        pickled.seek(0)
        try:
            layers = ["2048", "logits_unbiased"]
            network = FeatureExtractorInceptionV3("inception-v3-compat", layers, feature_extractor_weights_path=pickled)
        except RuntimeError as error:
            raise WeightsError(f"{path}: not the weights of Inception v3 ({one_line(error)[:160]})",
                               "convert the file that torch-fidelity downloads") from error  # fmt: skip
        self.network, self.device = network.to(device), device

    def __call__(self, image: Tensor, batch: Batch, method: str) -> dict[str, Tensor]:
        features, logits = self.network(quantize(image))
        return {"inception": features, "logits": logits}
