"""Which triangles each pixel shows: a z-buffer in C++ (`csrc/rasterize.cpp`), called through ctypes.

The library is built when the package is installed, where there is a compiler.
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from deformcli.errors import DeformError

LIBRARY = Path(__file__).with_name("_rasterize" + {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so"))


class Surfaces(NamedTuple):
    """The nearest surfaces of every pixel, nearest first: K layers of (H, W)."""

    triangle: np.ndarray  # (K, H, W) int32, -1 where there is none
    distance: np.ndarray  # (K, H, W) float32 from the camera; undefined where there is none
    weights: np.ndarray  # (K, H, W, 2) float32, perspective-correct weights of the triangle's first two corners


@cache
def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(str(LIBRARY))
    except OSError as error:
        raise DeformError(
            "the rasteriser is not built, or not for this machine", "install a C++ compiler, then deform again"
        ) from error
    library.deform_rasterize.argtypes = (
        *[ctypes.c_void_p] * 3, ctypes.c_int64, *[ctypes.c_int] * 3, *[ctypes.c_void_p] * 3,
    )  # fmt: skip
    library.deform_rasterize.restype = None
    return library


def rasterize(
    vertices: np.ndarray, triangles: np.ndarray, two_sided: np.ndarray, shape: tuple[int, int], layers: int
) -> Surfaces:
    """Find the nearest `layers` surfaces at every pixel's centre.

    Args:
        vertices: (V, 3) x and y in pixels (the first pixel's centre is at 0.5), and the distance from the camera;
            triangles that reach behind the camera (distance <= 0) are left out.
        triangles: (T, 3) indices of vertices, counter-clockwise as seen from the front.
        two_sided: (T,) whether a triangle is seen from behind too.
        shape: height and width.

    Raises:
        DeformError: the library is not there.
    """
    vertices = np.ascontiguousarray(vertices, np.float32)
    triangles = np.ascontiguousarray(triangles, np.int32)
    two_sided = np.ascontiguousarray(two_sided, np.uint8)
    if triangles.size and not 0 <= triangles.min() <= triangles.max() < len(vertices):
        raise ValueError("triangles name vertices that are not there")
    found = Surfaces(
        np.empty((layers, *shape), np.int32),
        np.empty((layers, *shape), np.float32),
        np.empty((layers, *shape, 2), np.float32),
    )
    pointers = [array.ctypes.data for array in (vertices, triangles, two_sided)]
    _library().deform_rasterize(
        *pointers, len(triangles), *shape, layers, *[array.ctypes.data for array in found]
    )  # fmt: skip
    return found
