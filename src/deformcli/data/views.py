"""Real views of the same people: turned photos, each with a frontal one of the same moment. Any multi-view set."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from deformcli.errors import UsageError
from deformcli.faces import Face, Square, crop, eyes_and_mouth, frontal_square, outline, square_around, yunet_face
from deformcli.images import to_tensor

from .files import Files, read_picture
from .found import FoundFaces
from .labels import labels_of
from .masked import known_pixels
from .sources import Pair, Pairs
from .splits import person, split_of

TABLE = "views.csv"
BOX = ("x", "y", "width", "height", "eye_l_x", "eye_l_y", "eye_r_x", "eye_r_y", "nose_x", "nose_y",
       "mouth_l_x", "mouth_l_y", "mouth_r_x", "mouth_r_y", "score")  # fmt: skip
"""Columns of YuNet's box, points and score, if the table has them."""
REMEDY = "give it the columns file, frontal and yaw, and person where file names do not tell it; see docs/data.md"
NEARER, AROUND = 1 / 14, 1 / 30  # shares of a crop: a landmark so far behind one so near in the picture is hidden


class View(NamedTuple):
    """A turned photo, the frontal one, who it is, and how far it is turned."""

    turned: Path
    frontal: Path | None
    person: str
    yaw: float


class Views(Pairs):
    """Pairs of photos. The turned crop is what the command would cut out, the frontal one is framed by its mesh.

    Where both meshes are sound, the flow between their landmarks is known, and nothing between them. With `rng` the
    turned crop is jittered.
    """

    def __init__(self, views: Sequence[View], found: FoundFaces) -> None:
        self.views, self.found = views, found
        shown = {path: view.person for view in views for path in (view.turned, view.frontal) if path}
        self.pictures = Files(list(shown), list(shown.values()))

    def __len__(self) -> int:
        return len(self.views)

    def name(self, index: int) -> str:
        return str(self.views[index].turned)

    def identity(self, index: int) -> str:
        return self.views[index].person

    def labels(self, index: int) -> Mapping[str, str]:
        return labels_of(self.views[index].turned)

    def limit_yaw(self, most: float) -> None:
        self.views = [view for view in self.views if abs(view.yaw) <= most]

    def pair(self, index: int, size: int, rng: np.random.Generator | None) -> Pair:
        view = self.views[index]
        square = square_around(self.found.face(view.turned))
        if rng is not None:
            square = _jittered(square, rng)
        image = to_tensor(crop(read_picture(view.turned)[..., :3], square, size))[0]
        if view.frontal is None:
            return Pair(image, torch.zeros_like(image), known=torch.zeros_like(image[:1]), yaw=view.yaw)
        frontal = self.found.mesh(view.frontal).points
        left, right, mouth = eyes_and_mouth(frontal[:, :2] - 0.5)
        goal = frontal_square(left, right, mouth)
        target = crop(read_picture(view.frontal), goal, size)
        there = _in_crop(frontal, goal, size)
        face, known = _head(there, size), known_pixels(target)
        pair = Pair(image, to_tensor(target[..., :3])[0], face=face, known=known, yaw=view.yaw, sparse=True)
        if abs(view.yaw) > 60 or not (turned := self.found.mesh(view.turned)).sound:
            return pair
        flow, seen = _landmark_flow(_in_crop(turned.points, square, size), there, size)
        return pair._replace(flow=flow, seen=seen)


def open_views(root: str, split: str, *, frontal: str = "") -> Views:
    """The pairs of ROOT/views.csv; frontal photos lie below ROOT, or below the folder that `frontal` names.

    Raises:
        UsageError: no table there, a damaged one, or no pair for the split.
    """
    folder, beside = Path(root), Path(frontal or root)
    try:
        with (folder / TABLE).open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        views = [View(folder / row["file"], beside / row["frontal"], _who(row), float(row["yaw"])) for row in rows]
        boxes = dict(_boxes(folder, rows))
    except OSError as error:
        raise UsageError(f"{root}: no {TABLE} there", REMEDY) from error
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise UsageError(f"{folder / TABLE}: damaged, or without a column: {error}", REMEDY) from error
    kept = [view for view in views if split_of(f"{view.person}.jpg") == split]
    if not kept:
        raise UsageError(f"{root}: no pair for the {split} split", "add pairs of more people")
    return Views(kept, FoundFaces({folder, beside}, boxes))


def _who(row: Mapping[str, str]) -> str:
    return row.get("person") or Path(person(row["frontal"])).stem


def _boxes(root: Path, rows: Sequence[Mapping[str, str]]) -> Iterator[tuple[Path, Face]]:
    for row in rows:
        if row.get(BOX[0]):
            yield root / row["file"], yunet_face(np.array([float(row[key]) for key in BOX]))


def _jittered(square: Square, rng: np.random.Generator) -> Square:
    """Framed a little otherwise, as detectors do."""
    x, y = rng.normal(0, 0.025, 2) * square.side
    side = square.side * float(np.clip(1 + rng.normal(0, 0.07), 0.82, 1.22))
    return Square(square.x + x, square.y + y, side, square.roll + rng.normal(0, 2.5))


def _in_crop(points: np.ndarray, square: Square, size: int) -> np.ndarray:
    """A mesh (468, 3) in pixels of a crop, centres at whole numbers, z in the same scale."""
    matrix = square.to_crop(size)
    flat = (points[:, :2] - 0.5) @ matrix[:, :2].T + matrix[:, 2]
    return np.column_stack([flat, points[:, 2] * (size / square.side)])


def _head(mesh: np.ndarray, size: int) -> Tensor:
    """1 on the head, 0 on the background, soft between: (1, S, S)."""
    mask = np.zeros((size, size), np.float32)
    cv2.fillPoly(mask, [np.round(outline(mesh, 1.2) * 8).astype(np.int32)], 1.0, shift=3)
    return torch.from_numpy(cv2.GaussianBlur(mask, (0, 0), size / 25))[None]


def _landmark_flow(here: np.ndarray, there: np.ndarray, size: int) -> tuple[Tensor, Tensor]:
    """Flow (2, S, S) at the pixels of the turned landmarks that are visible, and where those are (1, S, S)."""
    apart = np.hypot(*(here[:, None, :2] - here[None, :, :2]).transpose(2, 0, 1))
    hidden = ((apart < size * AROUND) & (here[None, :, 2] < here[:, None, 2] - size * NEARER)).any(1)
    at = np.round(here[:, :2]).astype(int)
    kept = ~hidden & (at >= 0).all(1) & (at < size).all(1)
    flow, seen = np.zeros((2, size, size), np.float32), np.zeros((1, size, size), np.float32)
    x, y = at[kept].T
    flow[:, y, x], seen[:, y, x] = (there - here)[kept, :2].T, 1
    return torch.from_numpy(flow), torch.from_numpy(seen)
