"""Finding faces: MTCNN, which comes with a package, and YuNet, whose weights the user gets; framed alike."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import cv2
import numpy as np

from deformcli.errors import WeightsError
from deformcli.images import quantize
from deformcli.weights import resolve_weights

from .facenet import network

if TYPE_CHECKING:
    import torch
    from torch import Tensor

SURE, UNSURE = (0.6, 0.7, 0.7), (0.5, 0.3, 0.2)  # MTCNN's thresholds: its authors', and those of a second try
PADDING = 0.25  # of a picture's longer side, around it, in a second try: a face that fills it has no surroundings
PORTRAIT = 1 / 6  # of a picture's shorter side: the smallest face of a second try, which sees faces in gravel else
SMALLEST = 20  # MTCNN's smallest face, in pixels; it fails on smaller pictures
NOSE = 0.55  # how far the nose's tip is before the eyes and the mouth, in distances between these
UPRIGHT = 5  # degrees that a head seen from the front leans at least; of a profile the points tell it less surely
FRONTAL, FAR = 12, 35  # degrees: less is called frontal; above, five points in a plane do not tell how far


@dataclass(frozen=True, eq=False)
class Face:
    """A box in pixels of the picture as MTCNN draws it, the detector's confidence 0..1, and five points if known."""

    left: float
    top: float
    right: float
    bottom: float
    score: float
    points: np.ndarray | None = None
    """(5, 2): eyes, nose, corners of the mouth; image left first, of a picture that stands upright."""
    turn: int = 0
    """Degrees by which the whole picture is turned clockwise: 0, 90, 180 or 270."""

    @property
    def box(self) -> np.ndarray:
        """Left, top, right, bottom."""
        return np.array([self.left, self.top, self.right, self.bottom])

    @property
    def area(self) -> float:
        return (self.right - self.left) * (self.bottom - self.top)

    @property
    def size(self) -> float:
        """Pixels from brow to chin."""
        return self.right - self.left if self.turn % 180 else self.bottom - self.top

    @property
    def yaw(self) -> float | None:
        """Degrees, rough, positive where the nose points to image right: how far it is off the middle of the face."""
        if self.points is None:
            return None
        eyes, nose, mouth = self.points[:2].mean(0), self.points[2], self.points[3:].mean(0)
        down = mouth - eyes
        length = float(np.hypot(*down)) or 1.0
        aside = (nose - (eyes + mouth) / 2) @ np.array([down[1], -down[0]]) / length**2
        return math.degrees(math.asin(max(-1.0, min(1.0, float(aside) / NOSE))))

    @property
    def roll(self) -> float:
        """Degrees the head leans clockwise, by eyes and mouth; `turn` if the rest may be the detector's error alone."""
        if self.points is None:
            return float(self.turn)
        eyes, mouth = self.points[:2], self.points[3:]
        across = (eyes[1] - eyes[0] + mouth[1] - mouth[0]) / 2
        length = float(np.hypot(*(mouth.mean(0) - eyes.mean(0)))) or 1.0
        lean = math.remainder(math.degrees(math.atan2(across[1], across[0])) - self.turn, 360)
        return self.turn + (lean if abs(lean) * (np.hypot(*across) / length) ** 2 > UPRIGHT else 0.0)

    @property
    def pose(self) -> str:
        """The yaw in words, as far as it can be told; empty if it is not known."""
        if self.yaw is None:
            return ""
        angle, side = abs(self.yaw), "right" if self.yaw > 0 else "left"
        how_far = f"{FAR} degrees or more" if angle > FAR else f"about {angle:.0f} degrees"
        return "frontal" if angle < FRONTAL else f"turned to the {side}, {how_far}"

    def __str__(self) -> str:
        corner, size = (self.left, self.top), (self.right - self.left, self.bottom - self.top)
        box = "box " + ",".join(f"{value:.0f}" for value in (*corner, *size))
        lying = f", the photo turned by {self.turn} degrees" if self.turn else ""
        return f"{box}, score {self.score:.2f}, {self.pose}{lying}" if self.pose else box


LONGEST = 1600  # pixels of a picture's longer side that detectors look at: smaller faces have no detail anyway


class Trust(NamedTuple):
    """How far a detector's scores tell which way up a photo is, as measured on photos turned by quarters."""

    certain: float
    """A score that no face reaches unless it is upright."""
    turned: float
    """The least score for which a photo is taken as turned, ..."""
    favour: float
    """... if it is so many times nearer to 1 than that of the photo as it is."""


class Detector(Protocol):
    """Something that finds faces."""

    trust: Trust

    def find(self, rgb: np.ndarray) -> list[Face]:
        """Faces in a picture (H, W, 3) uint8, largest first."""


class Mtcnn:
    """MTCNN (Zhang et al. 2016) from facenet-pytorch, whose weights come with that package.

    Where it finds nothing it tries again, less strict and with a margin around the picture, for the likeliest face.
    """

    trust = Trust(certain=0.998, turned=0.9, favour=4)

    def __init__(self, device: str | torch.device = "cpu") -> None:
        self.network = network("mtcnn", "MTCNN")(keep_all=True, device=device)

    def find(self, rgb: np.ndarray) -> list[Face]:
        """Faces in a picture (H, W, 3) uint8, largest first."""
        small, scale = reduced(rgb)
        shorter, longer = sorted(small.shape[:2])
        if shorter < SMALLEST:
            return []
        faces = self._detect(small, SURE, SMALLEST)
        if not faces:
            unsure = self._detect(small, UNSURE, max(SMALLEST, shorter * PORTRAIT), round(longer * PADDING))
            faces = sorted(unsure, key=lambda face: -face.score)[:1]
        return enlarged(faces, scale)

    def points(self, image: Tensor) -> list[np.ndarray | None]:
        """Five points (5, 2) of the surest face in each of (N, 3, H, W) in [-1, 1]; None where there is no face."""
        if min(image.shape[2:]) < SMALLEST:
            return [None] * len(image)
        self.network.thresholds, self.network.min_face_size = list(SURE), SMALLEST
        pixels = quantize(image).permute(0, 2, 3, 1).cpu().numpy()
        _, scores, points = self.network.detect(pixels, landmarks=True)
        return [
            None if found is None else np.array(found[int(np.argmax(sure))], float)
            for found, sure in zip(points, scores, strict=True)
        ]

    def _detect(self, rgb: np.ndarray, thresholds: Sequence[float], smallest: float, margin: int = 0) -> list[Face]:
        if margin:
            rgb = cv2.copyMakeBorder(rgb, margin, margin, margin, margin, cv2.BORDER_REPLICATE)
        self.network.thresholds, self.network.min_face_size = list(thresholds), smallest
        boxes, scores, points = self.network.detect(rgb, landmarks=True)
        if boxes is None:
            return []
        found = zip(boxes.astype(float) - margin, scores, points.astype(float) - margin, strict=True)
        return [_face(box, float(score), five) for box, score, five in found]


class YuNet:
    """YuNet (Wu, Peng and Yu 2023) by OpenCV: faster, and finds more profiles."""

    CERTAINTY = 0.6
    trust = Trust(certain=0.93, turned=0.75, favour=1)

    def __init__(self, path: Path) -> None:
        level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)  # OpenCV 5 warns of itself
        try:
            self.network = cv2.FaceDetectorYN.create(str(path), "", (320, 320), self.CERTAINTY)
        except cv2.error as error:
            raise WeightsError(f"{path} is no network of YuNet's", "get it as the manifest says") from error
        finally:
            cv2.utils.logging.setLogLevel(level)

    def find(self, rgb: np.ndarray) -> list[Face]:
        """Faces in a picture (H, W, 3) uint8, largest first."""
        small, scale = reduced(rgb)
        self.network.setInputSize((small.shape[1], small.shape[0]))
        rows = self.network.detect(cv2.cvtColor(small, cv2.COLOR_RGB2BGR))[1]
        return enlarged([] if rows is None else [yunet_face(row) for row in rows], scale)


def yunet_face(row: np.ndarray) -> Face:
    """The face of YuNet's row (15,), boxed as MTCNN would have: by a fixed affinity, measured on photos turned 0 to 75
    degrees.
    """
    x, y, width, height = map(float, row[:4])
    return Face(x, y, x + width, y + 0.98 * height, float(row[14]), row[4:14].reshape(5, 2))


def reduced(rgb: np.ndarray) -> tuple[np.ndarray, float]:
    """A picture of LONGEST pixels at most, and how many times as large it was."""
    scale = max(rgb.shape) / LONGEST
    if scale <= 1:
        return rgb, 1.0
    width, height = (max(1, round(side / scale)) for side in rgb.shape[1::-1])
    return cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA), scale


def _face(box: np.ndarray, score: float, points: np.ndarray | None, turn: int = 0) -> Face:
    left, top, right, bottom = map(float, box)
    return Face(left, top, right, bottom, score, points, turn)


def enlarged(faces: Sequence[Face], scale: float) -> list[Face]:
    """The faces of the picture that was reduced, largest first."""
    larger = [
        _face(face.box * scale, face.score, None if face.points is None else face.points * scale, face.turn)
        for face in faces
    ]
    return sorted(larger, key=lambda face: -face.area)


def find_detector(name: str, device: str) -> Detector:
    """The detector of that name: mtcnn, the id of other weights, or an .onnx file of YuNet's.

    Raises:
        WeightsError: unknown, not available, or with another checksum than the manifest's.
    """
    if name == "mtcnn":
        return Mtcnn(device)
    return YuNet(resolve_weights(name, task="faces", format="onnx"))
