"""MakeHuman's files: meshes (.obj), shapes (.target) and what is tied to the body (.mhclo). All of it text, CC0.

They lie as in MakeHuman's `data`, or flatter: `base.obj`, the skins, the irises and the eyes' mesh one level up.

Coordinates are MakeHuman's: x to the figure's left, y up, z to the front, one unit is 0.1 m.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from deformcli.errors import UsageError


class Mesh(NamedTuple):
    """Triangles of corners; a corner is a position and a place on the texture."""

    positions: np.ndarray  # (V, 3)
    uvs: np.ndarray  # (U, 2), both from 0 to 1, v from below
    triangles: np.ndarray  # (T, 3) indices of positions
    uv_triangles: np.ndarray  # (T, 3) indices of uvs
    groups: np.ndarray  # (T,) names


class Shape(NamedTuple):
    """How far some vertices of the body move when the shape has weight 1."""

    vertices: np.ndarray  # (M,)
    moves: np.ndarray  # (M, 3)


class Binding(NamedTuple):
    """Ties each vertex of a garment to three of the body: their weighted mean, plus an offset that grows with it."""

    vertices: np.ndarray  # (N, 3)
    weights: np.ndarray  # (N, 3)
    offsets: np.ndarray  # (N, 3)
    scales: tuple[tuple[int, int, float], ...]  # of x, y, z: two vertices of the body and their distance at scale 1

    def fit(self, body: np.ndarray) -> np.ndarray:
        """Positions (N, 3) on a body (V, 3)."""
        size = [abs(body[a, axis] - body[b, axis]) / distance for axis, (a, b, distance) in enumerate(self.scales)]
        return (body[self.vertices] * self.weights[..., None]).sum(1) + self.offsets * size


def place(assets: Path, *names: str) -> Path:
    """The first of some places below the assets that is there; else the first, for a message to name."""
    return next((assets / name for name in names if (assets / name).exists()), assets / names[0])


def base_mesh(assets: Path) -> Mesh:
    """The body. Raises UsageError naming the file."""
    return read_mesh(place(assets, "3dobjs/base.obj", "base.obj"))


def skins(assets: Path) -> Path:
    return place(assets, "skins/textures", "skins")


def irises(assets: Path) -> Path:
    return place(assets, "eyes/materials", "eyes")


@contextmanager
def _lines(path: Path) -> Iterator[list[str]]:
    """Of a text file, to be parsed. Raises UsageError naming the file if it is not there, or cannot be parsed."""
    try:
        yield path.read_text("utf-8").splitlines()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", "name MakeHuman's assets with --assets") from error
    except (ValueError, IndexError, KeyError) as error:
        raise UsageError(f"{path}: not a MakeHuman file of that kind ({error})", "fetch the assets again") from error


@lru_cache(maxsize=64)
def read_mesh(path: Path) -> Mesh:
    """A .obj file of triangles and quads with texture places. Raises UsageError naming the file."""
    with _lines(path) as lines:
        positions, uvs, corners, groups = [], [], [], []
        group = ""
        for line in lines:
            kind, *words = line.split() or [""]
            if kind == "v":
                positions.append([float(word) for word in words[:3]])
            elif kind == "vt":
                uvs.append([float(word) for word in words[:2]])
            elif kind == "g":
                group = " ".join(words)
            elif kind == "f":
                face = [[int(number) - 1 for number in word.split("/")[:2]] for word in words]
                fans = [[face[0], face[i], face[i + 1]] for i in range(1, len(face) - 1)]
                corners += fans
                groups += [group] * len(fans)
        table = np.array(corners, np.int32).reshape(-1, 3, 2)
        mesh = Mesh(np.array(positions), np.array(uvs), table[..., 0], table[..., 1], np.array(groups))
        if not table.size:
            raise ValueError("no faces")
        for name, indices, values in (("vertex", mesh.triangles, positions), ("texture place", mesh.uv_triangles, uvs)):
            if not 0 <= indices.min() <= indices.max() < len(values):
                raise ValueError(f"a face names a {name} that is not there")
        return mesh


@lru_cache(maxsize=1024)
def read_shape(path: Path) -> Shape:
    """A .target file: lines `vertex dx dy dz`. Raises UsageError naming the file."""
    with _lines(path) as lines:
        rows = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
        table = np.loadtxt(rows, ndmin=2) if rows else np.zeros((0, 4))
        if table.shape[1] != 4:
            raise ValueError("expected lines of four numbers")
        vertices = table[:, 0].astype(np.int64)
        if (vertices != table[:, 0]).any() or (vertices < 0).any():
            raise ValueError("a vertex is no whole number")
        return Shape(vertices, table[:, 1:].astype(np.float32))


@lru_cache(maxsize=64)
def read_binding(path: Path) -> Binding:
    """A .mhclo file. Raises UsageError naming the file."""
    with _lines(path) as lines:
        scales: dict[str, tuple[int, int, float]] = {}
        rows = []
        for line in lines:
            first, *words = line.split() or ["#"]
            if first.endswith("_scale"):
                scales[first[0]] = (int(words[0]), int(words[1]), float(words[2]))
            elif first.isdigit():  # keywords may stand between and after the vertices
                numbers = [float(word) for word in words]
                exact = [float(first), 0, 0, 1, 0, 0, 0, 0, 0]
                rows.append([float(first), *numbers] if numbers else exact)
        if not rows or {len(row) for row in rows} != {9}:
            raise ValueError("expected lines of one or nine numbers")
        table = np.array(rows)
        return Binding(
            table[:, :3].astype(np.int64), table[:, 3:6], table[:, 6:], tuple(scales[axis] for axis in "xyz")
        )


@lru_cache(maxsize=64)
def read_texture(path: Path) -> np.ndarray:
    """A picture as RGBA uint8 (H, W, 4). Raises UsageError naming the file."""
    try:
        picture = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    except (OSError, cv2.error) as error:
        raise UsageError(f"{path} cannot be read", "name MakeHuman's assets with --assets") from error
    if picture is None or picture.ndim != 3:
        raise UsageError(f"{path}: not a colour picture that can be decoded", "fetch the assets again")
    return cv2.cvtColor(picture, cv2.COLOR_BGRA2RGBA if picture.shape[2] == 4 else cv2.COLOR_BGR2RGBA)
