"""Multi-PIE: 337 people from 13 cameras around them, under up to 20 lights."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from deformcli.errors import UsageError
from deformcli.images import to_tensor

from .files import Files
from .masked import centre_square, known_pixels
from .sources import Pair, Pairs
from .splits import check_protocol, split_in_tenths

CAMERAS = ["110", "120", "090", "080", "130", "140", "051", "050", "041", "190", "200", "010", "240"]
YAWS = {camera: 15.0 * (number - 6) for number, camera in enumerate(CAMERAS)}
NAME = re.compile(r"^(\d{3})_(\d{2})_(\d{2})_(\d{3})_(\d{2})(?!\d).*\.(png|jpg|jpeg|bmp)$")
PROTOCOLS = ("subjects", "setting-2")
SOURCE = (
    "order Multi-PIE at multipie.org (licence: research, per institution), so that ROOT has "
    "session01/multiview/001/01/05_1/001_01_01_051_00.png and so on, or cropped faces named 001_01_01_051_00*.png"
)


class MultiPie(Pairs):
    """Pairs of every picture of the 13 cameras with the frontal one of the same subject, session, recording and light.

    The whole data set is taken as it is, the pictures' centred squares; cropped faces as they are. Protocols:
    "subjects" trains on 70 % of the subjects, validates on 10 % and tests on the others; "setting-2" takes neutral
    faces (recording 01) alone, trains on nine in ten of the subjects up to 200, with the 11 cameras within 75 degrees,
    validates on the tenth and tests on the others, with all 13.

    Raises:
        UsageError: no such protocol, or no pair there.
    """

    def __init__(self, root: str, split: str, *, protocol: str = "subjects") -> None:
        check_protocol("multipie", protocol, PROTOCOLS)
        paths = sorted(path for path in Path(root).rglob("*") if _camera(path) in YAWS)
        paths = [path for path in paths if _is_of(path, split, protocol)]
        self.pictures = Files(paths, [path.name[:3] for path in paths])
        frontal = {_key(path): index for index, path in enumerate(paths) if _camera(path) == "051"}
        self.pairs = [(index, frontal[_key(path)]) for index, path in enumerate(paths) if _key(path) in frontal]
        if not self.pairs:
            raise UsageError(f"{root}: no picture of Multi-PIE with its frontal one for the {split} split", SOURCE)

    def __len__(self) -> int:
        return len(self.pairs)

    def name(self, index: int) -> str:
        return self.pictures.name(self.pairs[index][0])

    def identity(self, index: int) -> str:
        return self.pictures.identity(self.pairs[index][0])

    def limit_yaw(self, most: float) -> None:
        self.pairs = [pair for pair in self.pairs if abs(self._yaw(pair[0])) <= most]

    def pair(self, index: int, size: int, rng: np.random.Generator | None) -> Pair:
        image, target = (centre_square(self.pictures.read(number), size) for number in self.pairs[index])
        yaw = self._yaw(self.pairs[index][0])
        return Pair(to_tensor(image[..., :3])[0], to_tensor(target[..., :3])[0], known=known_pixels(target), yaw=yaw)

    def _yaw(self, number: int) -> float:
        return YAWS[_camera(self.pictures.paths[number])]


def _camera(path: Path) -> str:
    match = NAME.match(path.name)
    return match[4] if match else ""


def _key(path: Path) -> str:
    """Subject, session, recording and light."""
    subject, session, recording, _, light = path.name[:16].split("_")[:5]
    return f"{subject}_{session}_{recording}_{light}"


def _is_of(path: Path, split: str, protocol: str) -> bool:
    subject, _, recording = path.name[:9].split("_")
    if protocol == "subjects":
        return split_in_tenths(subject, 2) == split
    if recording != "01" or (split_in_tenths(subject, 0) if int(subject) <= 200 else "test") != split:
        return False
    return split != "train" or abs(YAWS[_camera(path)]) <= 75
