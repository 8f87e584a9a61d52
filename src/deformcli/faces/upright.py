"""Faces of photos that lie on a side or stand on their head."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .detect import Detector, Face, enlarged, reduced
from .framing import axes_of

STEEP = 45  # degrees: a head that leans more is more upright in a photo turned by a quarter


class AnyWayUp:
    """A detector that looks at a photo turned by 90, 180 and 270 degrees too, unless it is certain of an upright face.

    Detectors see something in faces of every direction, but are surest of those that are upright.
    """

    def __init__(self, detector: Detector) -> None:
        self.detector = detector

    def find(self, rgb: np.ndarray) -> list[Face]:
        """Faces in a picture (H, W, 3) uint8, largest first: of the picture as it is, unless it clearly is turned."""
        trust = self.detector.trust
        small, scale = reduced(rgb)
        faces = self.detector.find(small)
        if (score := _surest(faces)) < trust.certain:
            turned = max((self._turned(small, quarters) for quarters in (1, 2, 3)), key=_surest)
            best = _surest(turned)
            if best >= trust.turned and (1 - score) >= trust.favour * (1 - best):
                faces = turned
        return enlarged(faces, scale)

    def _turned(self, rgb: np.ndarray, quarters: int) -> list[Face]:
        """The faces that are upright once the picture is turned back by so many quarters, as they lie in it."""
        upright = np.ascontiguousarray(np.rot90(rgb, quarters))
        middles = [(np.array(picture.shape[1::-1]) - 1) / 2 for picture in (upright, rgb)]
        return [_turned_back(face, 90 * quarters, *middles) for face in self.detector.find(upright)]


def _turned_back(face: Face, turn: int, middle: np.ndarray, where: np.ndarray) -> Face:
    """A face of an upright picture in that picture turned clockwise, whose middle (2,) is then `where`."""
    axes = axes_of(turn)
    ends = (face.box.reshape(2, 2) - middle) @ axes + where
    points = None if face.points is None else (face.points - middle) @ axes + where
    return Face(*map(float, (*ends.min(0), *ends.max(0))), face.score, points, turn)


def _surest(faces: Sequence[Face]) -> float:
    """The score of the surest face that is about upright; 0 without one."""
    return max((face.score for face in faces if abs(face.roll - face.turn) <= STEEP), default=0.0)
