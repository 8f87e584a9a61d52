"""Wide holes in faces: the other half knows what an eye, half a nose, half a mouth look like.

Each pixel of a hole whose mirror image on the face is known gets that one, by the face's mesh, joined without seams.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from deformcli.faces import Detector, MeshFinder, find_detector, mirror_flow
from deformcli.images import to_depth
from deformcli.weights import resolve_weights

from .moved import Colors, Mask, around, joined, move_into, wide_holes, wideness

SURE, STEADY = 0.9, 0.1  # score of a face and its mesh at least, how far the mesh's views differ at most
STRETCHED = 3  # times that a mirrored surface is at most enlarged or reduced in area
DARK = 0.05  # of the full range: added, so that what is nearly black is no measure of light
UNLIKE = 0.12  # of the full range: halves that differ more around a hole are no mirror images
BRIGHTER = 0.7  # at most, as a logarithm: what differs more is no light


def fill_wide(filled: NDArray, known: Mask, progress: Callable[[float], object] = lambda share: None) -> None:
    """Put mirrored pixels of faces, else moved ones, into wide holes in place; arguments as of `move_into`."""
    move_into(filled, mirror_into(filled, known, hidden_faces(filled, known)), progress)


def hidden_faces(filled: NDArray, known: Mask) -> list[NDArray]:
    """Meshes (468, 3) of the sure faces that wide holes of `known` (H, W) hide a part of, in what a network filled."""
    if not any(wide_holes(known)):
        return []
    detector, finder = _networks()
    picture = to_depth(filled, np.uint8)
    meshes = []
    for face in detector.find(picture):
        left, top, right, bottom = np.maximum(face.box, 0).astype(int)
        if face.score > SURE and not known[top:bottom, left:right].all():
            mesh = finder.find(picture, face)
            meshes += [mesh.points] if mesh.score > SURE and mesh.spread < STEADY else []
    return meshes


@cache
def _networks() -> tuple[Detector, MeshFinder]:
    return find_detector("mtcnn", "cpu"), MeshFinder(resolve_weights("face-mesh"))


def mirror_into(filled: NDArray, known: Mask, meshes: Sequence[NDArray]) -> Mask:
    """Put mirrored pixels of faces into the wide parts of the holes of `filled` (H, W, 3) uint8 or uint16, in place.

    Args:
        filled: the holes, where `known` (H, W) is False, hold what a network made of them.
        meshes: (468, 3) of each face, in pixels of the picture.

    Returns:
        `known`, with the pixels that came wholly from another half.
    """
    if not meshes:
        return known
    scale, found = np.iinfo(filled.dtype).max, known.copy()
    for place, hole in wide_holes(known):
        smooth = filled[place].astype(np.float32) / scale
        for mesh in meshes:
            mirror, given = _mirrored(filled, known, mesh, place)
            lit, alike = _lit(mirror, smooth, given & known[place], hole)
            given &= alike
            share = wideness(hole) * given
            if not (share == 1).any():
                continue
            made = _with_mirrored(smooth, lit, given & hole, known[place], given)
            smooth += share[..., None] * (made - smooth)
            found[place] |= share == 1
        filled[place][hole] = (smooth[hole] * scale).round().clip(0, scale)
    return found


def _with_mirrored(picture: Colors, mirror: Colors, taken: Mask, known: Mask, given: Mask) -> Colors:
    """The picture with what is taken of the mirrored one, which lies beside it while they are joined."""
    both, nothing = np.hstack([picture, mirror]), np.zeros_like(taken)
    source = np.arange(taken.size * 2, dtype=np.int32).reshape(both.shape[:2])
    made, place = picture.copy(), around(taken)
    source = np.roll(source, -taken.shape[1], 1)
    made[place] = joined(both, np.hstack([taken, nothing]), np.hstack([known, given]), source, place)
    return made


def _mirrored(filled: NDArray, known: Mask, mesh: NDArray, place: tuple[slice, slice]) -> tuple[Colors, Mask]:
    """The region (H, W, 3) as the face's other half shows it, in 0..1, and where that is known and not distorted."""
    flow, face = mirror_flow(mesh, place)
    rows, columns = place
    y, x = np.mgrid[rows, columns].astype(np.float32)
    at = np.dstack([x, y]) + flow
    (dx_y, dx_x), (dy_y, dy_x) = np.gradient(at[..., 0]), np.gradient(at[..., 1])
    area = np.abs(dx_x * dy_y - dx_y * dy_x)
    face &= (area > 1 / STRETCHED) & (area < STRETCHED)
    if not face.any():
        return np.zeros((*face.shape, 3), np.float32), face
    low = np.maximum(np.floor(at[face].min(0)).astype(int) - 2, 0)
    high = np.ceil(at[face].max(0)).astype(int) + 3
    part = slice(low[1], max(high[1], low[1] + 1)), slice(low[0], max(high[0], low[0] + 1))
    at -= low
    picture = cv2.remap(filled[part], at, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    there = cv2.remap(known[part].astype(np.float32), at, None, cv2.INTER_LINEAR, borderValue=0)
    return picture.astype(np.float32) / np.iinfo(filled.dtype).max, face & (there > 1 - 1e-3)


def _lit(mirror: Colors, picture: Colors, both: Mask, hole: Mask) -> tuple[Colors, Mask]:
    """The mirrored half in the other's light, by what they differ where both are known; and where the two fit then."""
    reach = max(cv2.boundingRect(hole.astype(np.uint8))[2:]) / 4
    gain = np.log((picture + DARK) / (mirror.clip(0) + DARK)).clip(-BRIGHTER, BRIGHTER)
    lit = (mirror + DARK) * np.exp(_spread(gain, both, reach)) - DARK
    apart = np.abs(_spread(lit - picture, both, reach / 4)).mean(2, keepdims=True)  # edges need not meet
    unlike = _spread(apart, both, reach)[..., 0]
    return lit, unlike < UNLIKE


def _spread(values: Colors, given: Mask, reach: float) -> Colors:
    """The mean of the given values (H, W, C) around each pixel, as far as `reach`."""
    layers = np.dstack([values, np.ones_like(given, np.float32)]) * given[..., None]
    blurred = cv2.GaussianBlur(layers.astype(np.float32), (0, 0), reach)
    return blurred[..., :-1] / np.maximum(blurred[..., -1:], 1e-3)
