"""Photos turned by quarters: python benchmarks/orientation.py DIR... --yunet FILE --count 24

DIR: upright photos of one face each. How many of them, turned by 0, 90, 180 and 270 degrees, are cut out as they are
upright: the crops overlap by half (intersection over union), and the eyes are level within 30 degrees. Before: the
detector alone; after: as the command uses it. And how often it looks at upright photos.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from faces import is_found

from deformcli.data import picture_files, read_picture
from deformcli.faces import AnyWayUp, Detector, Face, Mtcnn, Square, square_around
from deformcli.faces.detect import YuNet
from deformcli.faces.framing import axes_of


class Counted:
    """A detector that counts how often it looks."""

    def __init__(self, detector: Detector) -> None:
        self.detector, self.trust, self.looks = detector, detector.trust, 0

    def find(self, rgb: np.ndarray) -> list[Face]:
        self.looks += 1
        return self.detector.find(rgb)


def photos(folders: Sequence[Path], count: int) -> list[np.ndarray]:
    """`count` of each folder, from all over it."""
    found = [picture_files(folder) for folder in folders]
    chosen = [path for paths in found for path in paths[:: max(1, len(paths) // count)][:count]]
    return [np.ascontiguousarray(read_picture(path)[..., :3]) for path in chosen]


def turned(square: Square, photo: np.ndarray, turn: int) -> Square:
    """A square of a photo in the photo turned clockwise."""
    middle = (np.array(photo.shape[1::-1]) - 1) / 2
    x, y = (np.array(square[:2]) - middle) @ axes_of(turn) + (middle[::-1] if turn % 180 else middle)
    return Square(x, y, square.side, square.roll + turn)


def is_right(faces: list[Face], wanted: Square) -> bool:
    level = bool(faces) and abs(math.remainder(square_around(faces[0]).roll - wanted.roll, 360)) < 30
    return level and is_found(faces, wanted)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--yunet", type=Path, help="its ONNX file; see `deform weights info yunet`")
    parser.add_argument("--count", type=int, default=8, help="photos of each folder")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    detectors: dict[str, Detector] = {"MTCNN": Mtcnn()}
    if options.yunet:
        detectors["YuNet"] = YuNet(options.yunet)
    upright = photos(options.folders, options.count)
    for name, detector in detectors.items():
        wanted = [square_around(detector.find(photo)[0]) for photo in upright]
        for way, finder in (("before", detector), ("after", AnyWayUp(detector))):
            shares = []
            for turn in (0, 90, 180, 270):
                found = [finder.find(np.ascontiguousarray(np.rot90(photo, -turn // 90))) for photo in upright]
                squares = [turned(square, photo, turn) for square, photo in zip(wanted, upright, strict=True)]
                right = sum(map(is_right, found, squares))
                shares.append(f"{turn}: {right} of {len(upright)}")
            print(f"{name}, {way:8}", "   ".join(shares), flush=True)
        counted = Counted(detector)
        for photo in upright:
            AnyWayUp(counted).find(photo)
        print(f"{name}: {counted.looks} looks at {len(upright)} upright photos", flush=True)


if __name__ == "__main__":
    main()
