"""Where the face is in a photo of a data set, and its mesh: from `facemesh.npz`, else found once and remembered."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from deformcli.errors import UsageError
from deformcli.faces import Face, MeshFinder, Mtcnn
from deformcli.models.face_mesh import POINTS
from deformcli.runtime.storage import cache_dir, write_atomic
from deformcli.weights import resolve_weights

from .files import read_picture
from .meshes import MESHES, read_columns

SOUND = 0.05  # spread up to which a mesh is trusted


class Points(NamedTuple):
    """A mesh (468, 3) as `facemesh.npz` has it, and its spread."""

    points: np.ndarray
    spread: float

    @property
    def sound(self) -> bool:
        return self.spread < SOUND


class FoundFaces:
    """Faces and meshes of photos by path.

    What no `facemesh.npz` of `roots` and no `faces` says, MTCNN and FaceMesh find when it is asked for; the cache
    remembers it by the file's content, so that it costs its fraction of a second once.
    """

    def __init__(self, roots: Iterable[Path], faces: Mapping[Path, Face] | None = None) -> None:
        self.faces: dict[Path, Face] = {}
        self.meshes: dict[Path, Points] = {}
        for root in roots:
            self._read(root)
        self.faces |= faces or {}

    def face(self, path: Path) -> Face:
        """The largest face. Raises UsageError if there is none, or the file cannot be read."""
        if path not in self.faces:
            numbers = _remembered("mtcnn", path, lambda: _found(path))
            if not numbers.size:
                raise UsageError(f"{path}: no face found", "remove it from the data")
            self.faces[path] = Face(*map(float, numbers[:5]), numbers[5:].reshape(5, 2).astype(float))
        return self.faces[path]

    def mesh(self, path: Path) -> Points:
        """Of the largest face. Raises UsageError as `face` does."""
        if path not in self.meshes:
            face = self.face(path)
            numbers = _remembered(f"face-mesh {face.box.round(1).tolist()}", path, lambda: _meshed(path, face))
            self.meshes[path] = Points(numbers[1:].reshape(POINTS, 3).astype(float), float(numbers[0]))
        return self.meshes[path]

    def _read(self, root: Path) -> None:
        if not (root / MESHES).is_file():
            return
        columns = read_columns(root / MESHES, ("name", "points", "spread"))
        for row, name in enumerate(map(str, columns["name"])):
            self.meshes[root / name] = Points(columns["points"][row].astype(float), float(columns["spread"][row]))
            if {"box", "det_score", "eyes_mouth"} <= columns.keys():
                box, score, five = (columns[key][row].astype(float) for key in ("box", "det_score", "eyes_mouth"))
                self.faces[root / name] = Face(*box, float(score), five)


def _remembered(what: str, path: Path, find: Callable[[], np.ndarray]) -> np.ndarray:
    """Numbers about a file, from the cache if they were found before. Raises UsageError if it cannot be read."""
    try:
        key = hashlib.sha256(what.encode() + path.read_bytes()).hexdigest()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", "repair it or remove it from the data") from error
    place = cache_dir() / "faces" / f"{key}.f4"
    with suppress(OSError, ValueError):
        return np.frombuffer(place.read_bytes(), np.float32)
    numbers = find().astype(np.float32)
    with suppress(OSError):  # a cache that cannot be written costs the work again, no more
        write_atomic(place, numbers.tobytes())
    return numbers


def _found(path: Path) -> np.ndarray:
    """Box, score and five points of the largest face; nothing if there is none."""
    faces = _detector().find(read_picture(path)[..., :3])
    return np.concatenate([faces[0].box, [faces[0].score], faces[0].points.ravel()]) if faces else np.zeros(0)


def _meshed(path: Path, face: Face) -> np.ndarray:
    mesh = _finder().find(read_picture(path)[..., :3], face)
    return np.append(mesh.spread, mesh.points)


@cache
def _detector() -> Mtcnn:
    return Mtcnn()


@cache
def _finder() -> MeshFinder:
    return MeshFinder(resolve_weights("face-mesh", task="mesh"))
