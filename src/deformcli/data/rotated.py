"""Near-frontal photos turned in 2.5D: the turned view is the input, the photo the target, the exact flow is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np

from deformcli.errors import UsageError

from .files import Files, read_picture
from .meshes import MESHES, read_columns
from .sources import Pair, Pairs
from .splits import person, split_of
from .turning import Head, lay_out, make_pair

USABLE = 0.1  # spread up to which a mesh is used
MOST_YAW, MOST_PITCH = 12, 22  # degrees either way of a face that counts as frontal


class RotatedPhotos(Pairs):
    """Pairs from near-frontal photos with a `facemesh.npz` beside them; `pictures` are those photos.

    With `rng`, yaw is drawn up to the limit either way, with small pitch and roll and a jittered frame; without, every
    photo is turned by each of TEST_YAWS.
    """

    TEST_YAWS = (-75, -60, -45, -30, -15, 15, 30, 45, 60, 75)

    def __init__(self, root: str, split: str, is_wanted: Callable[[Path], bool] = lambda path: True) -> None:
        photos = near_frontal(Path(root), Path(root) / MESHES, split)
        self.photos = [(path, points) for path, points in photos if is_wanted(path)]
        paths = [path for path, _ in self.photos]
        self.pictures = Files(paths, [person(path) for path in paths])
        self.max_yaw = 75.0

    def __len__(self) -> int:
        return len(self.photos) * len(self.TEST_YAWS)

    def name(self, index: int) -> str:
        return self.pictures.name(index // len(self.TEST_YAWS))

    def identity(self, index: int) -> str:
        return self.pictures.identity(index // len(self.TEST_YAWS))

    def labels(self, index: int) -> Mapping[str, str]:
        return self.pictures.labels(index // len(self.TEST_YAWS))

    def limit_yaw(self, most: float) -> None:
        self.max_yaw = most

    def pair(self, index: int, size: int, rng: np.random.Generator | None) -> Pair:
        photo, view = divmod(index, len(self.TEST_YAWS))
        head = read_head(*self.photos[photo])
        if rng is None:
            return make_pair(head, self.TEST_YAWS[view], 0.0, 0.0, size, None)
        yaw = rng.uniform(-self.max_yaw, self.max_yaw)
        return make_pair(head, yaw, rng.normal(0, 6.0), rng.normal(0, 3.0), size, rng)


def near_frontal(root: Path, meshes: Path, split: str = "") -> list[tuple[Path, bytes]]:
    """Usable photos of a split ("" for all) with their points: near-frontal, with a mesh to trust.

    Raises:
        UsageError: there is none, or no meshes, or they are not what `deform data mesh` writes.
    """
    if not meshes.is_file():
        raise UsageError(f"{root}: no {meshes.name} there", f"make it with deform data mesh {root}")
    data = read_columns(meshes, ("name", "points", "spread", "yaw_pitch_roll_2d"))
    yaw, pitch, _ = np.abs(data["yaw_pitch_roll_2d"]).T
    usable = (yaw <= MOST_YAW) & (pitch < MOST_PITCH) & (data["spread"] < USABLE)
    kept = [
        (root / str(name), points.astype(np.float32).tobytes())
        for name, points, good in zip(data["name"], data["points"], usable, strict=True)
        if good and (not split or split_of(str(name)) == split)
    ]
    if not kept:
        where = f" for the {split} split" if split else ""
        raise UsageError(f"{root}: no near-frontal photo{where}", "add photos and their meshes")
    return kept


@lru_cache(maxsize=1000)  # of some 540 kB each, in every process that prepares data
def read_head(path: Path, points: bytes) -> Head:
    return lay_out(read_picture(path), np.frombuffer(points, np.float32).reshape(468, 3).astype(np.float64))
