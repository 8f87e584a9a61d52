"""Finding a face and cutting it out the way the networks know faces."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from deformcli.errors import NothingToDoError

SIZE = 128  # side of a crop in pixels
MARGIN = 10  # pixels of a crop by which the detector's box is grown (thesis section 4.1.1)
SHIFT = 0.076  # share of the crop by which it lies below the box, so that the eyes are a third down as in training


@dataclass(frozen=True)
class Face:
    """A detector's box in pixels of the picture, and its confidence 0..1."""

    left: float
    top: float
    right: float
    bottom: float
    score: float

    @property
    def area(self) -> float:
        return (self.right - self.left) * (self.bottom - self.top)


class FaceDetector:
    """MTCNN (Zhang et al. 2016) from facenet-pytorch, whose weights come with that package."""

    def __init__(self, device: str = "cpu") -> None:
        self.network = _mtcnn_class()(keep_all=True, device=device)

    def find(self, rgb: np.ndarray) -> list[Face]:
        """Faces in a picture (H, W, 3) uint8, largest first."""
        if min(rgb.shape[:2]) < 20:  # MTCNN's smallest face; it fails on smaller pictures
            return []
        boxes, scores = self.network.detect(rgb)
        if boxes is None:
            return []
        faces = [Face(*map(float, box), float(score)) for box, score in zip(boxes, scores, strict=True)]
        return sorted(faces, key=lambda face: -face.area)


def _mtcnn_class() -> type:
    """facenet-pytorch's MTCNN alone: the package's own __init__ imports an HTTP client, a trainer and more."""
    name = "facenet_pytorch"
    spec = importlib.util.find_spec(name)
    if spec is None or name in sys.modules:
        return importlib.import_module(f"{name}.models.mtcnn").MTCNN
    sys.modules[name] = importlib.util.module_from_spec(spec)  # the package, its __init__ not run
    try:
        return importlib.import_module(f"{name}.models.mtcnn").MTCNN
    finally:
        for module in [module for module in sys.modules if module.partition(".")[0] == name]:
            del sys.modules[module]  # whoever imports the package gets it whole


def largest(faces: Sequence[Face], name: str) -> Face:
    """The largest face. Raises NothingToDoError, naming the picture, if there is none."""
    if not faces:
        raise NothingToDoError(
            f"{name}: no face found", "use a picture with a larger or less turned face, or --aligned on a face crop"
        )
    return faces[0]


def crop(rgb: np.ndarray, face: Face) -> np.ndarray:
    """Cut a square around a face, grown by MARGIN, as (SIZE, SIZE, 3) uint8; the edge repeats beyond the picture."""
    side = (face.bottom - face.top) * SIZE / (SIZE - MARGIN)
    x, y = (face.left + face.right) / 2, (face.top + face.bottom) / 2 + SHIFT * side
    scale = SIZE / side
    if scale < 0.5:  # average large faces down first: bilinear sampling alone would alias
        factor = 0.5 / scale
        rgb = cv2.resize(rgb, None, fx=1 / factor, fy=1 / factor, interpolation=cv2.INTER_AREA)
        x, y, scale = x / factor, y / factor, 0.5
    matrix = np.array([[scale, 0, SIZE / 2 - scale * x], [0, scale, SIZE / 2 - scale * y]])
    blurred = cv2.GaussianBlur(rgb, (0, 0), 0.4 / scale) if scale < 0.9 else rgb
    return cv2.warpAffine(blurred, matrix, (SIZE, SIZE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def resize_aligned(rgb: np.ndarray) -> np.ndarray:
    """A picture that already is a face crop, as (SIZE, SIZE, 3)."""
    interpolation = cv2.INTER_AREA if min(rgb.shape[:2]) > SIZE else cv2.INTER_CUBIC
    return cv2.resize(rgb, (SIZE, SIZE), interpolation=interpolation)
