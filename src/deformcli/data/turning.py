"""A near-frontal photo with its face mesh, turned in 2.5D: the turned view, and the exact flow back to the photo.

`lay_out` brings the photo into the world frame, `turn` turns it there, `make_pair` crops both views. Lengths are in
crop units: a crop is `CROP` wide, and frames the face as MTCNN's box frames a frontal one. All views are computed on a
square `WORLD` units wide around the crop.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from deformcli.faces import eyes_and_mouth, frame_around, frontal_square, outline, thin_plate
from deformcli.images import dequantize
from deformcli.warp import forward_warp, mesh_grid, pyramid_fill

from .sources import Pair

CROP, WORLD = 128, 224
MARGIN = (WORLD - CROP) / 2
CELLS = 2 * WORLD  # the surface is turned on a grid twice as fine, so that stretched parts stay closed at 128 pixels
PHOTO_SCALE = 1.5  # pixels kept per crop unit
AXIS_DEPTH = -40.0  # the head turns about a vertical axis this far behind the middle of the mesh
SILHOUETTE_DEPTH = -50.0  # the rim of the head as seen from the front: about the plane of the ears
BACKGROUND_DEPTH = -75.0
GAP = 7  # cells: as wide a gap may open in a stretched surface


class Head(NamedTuple):
    """A photo laid out in the world frame: what is needed to turn it."""

    photo: Tensor  # (3, S, S) uint8, S = WORLD * PHOTO_SCALE; (4, S, S) with alpha
    backdrop: Tensor  # (3, WORLD, WORLD) uint8, the photo without the head
    depth: Tensor  # (WORLD, WORLD) float16, toward the camera, 0 in the middle of the mesh
    weight: Tensor  # (WORLD, WORLD) float16, 1 on the head, falling to 0 on the background, which does not turn
    mesh: np.ndarray  # (468, 3) world x, y and depth


class Turned(NamedTuple):
    """A turned view, in the world frame, on a grid of cells (C, C)."""

    displacement: Tensor  # (2, C, C) from each point to the photo's point seen there
    seen: Tensor  # (1, C, C), 1 where there is one; elsewhere the backdrop shows
    mesh: np.ndarray  # (468, 2)


def lay_out(picture: np.ndarray, points: np.ndarray) -> Head:
    """Bring a photo (H, W, 3 or 4) and its 468-point mesh (pixels, z smaller = nearer) into the world frame."""
    to_world = _to_world(points)
    scale = float(np.linalg.norm(to_world[:, 0]))
    mesh = np.concatenate([points[:, :2] @ to_world[:, :2].T + to_world[:, 2], -scale * points[:, 2:]], 1)
    mesh[:, 2] -= mesh[:, 2].mean()

    matrix = to_world * PHOTO_SCALE
    matrix[:, 2] += to_world[:, :2] @ [0.5, 0.5] * PHOTO_SCALE - 0.5  # mesh pixels have their centre at (0.5, 0.5)
    side = round(WORLD * PHOTO_SCALE)
    photo = cv2.warpAffine(picture, matrix, (side, side), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)

    rims = [outline(mesh, grow) for grow in (1.0, 1.25)]
    weight = torch.from_numpy(_coverage_of(rims[1], 9.0))
    around = torch.from_numpy(cv2.resize(photo[..., :3], (WORLD, WORLD), interpolation=cv2.INTER_AREA)).permute(2, 0, 1)
    return Head(
        torch.from_numpy(photo).permute(2, 0, 1).contiguous(),
        pyramid_fill(around[None].float(), (weight < 0.02)[None, None].float())[0].round().byte(),
        torch.from_numpy(_depth(mesh, rims)).half(),
        weight.half(),
        mesh,
    )


def _to_world(points: np.ndarray) -> np.ndarray:
    """Similarity (2, 3) from photo pixels to the world: eyes level and where a crop has them, and so the mouth."""
    square = frontal_square(*eyes_and_mouth(points))
    turn = square.to_crop(CROP)[:, :2]
    return np.column_stack([turn, WORLD / 2 - turn @ square[:2]])


def _depth(mesh: np.ndarray, rims: Sequence[np.ndarray]) -> np.ndarray:
    """Depth (WORLD, WORLD) of the head: a smooth surface through the mesh and the outlines around it."""
    anchors = np.concatenate([mesh[:, :2], *rims])
    depths = np.concatenate([mesh[:, 2], *(np.full(len(rim), SILHOUETTE_DEPTH) for rim in rims)])
    coarse = WORLD // 4
    axis = (np.arange(coarse) + 0.5) * 4
    query = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    depth = thin_plate(anchors / WORLD, depths, query / WORLD, 1e-4).reshape(coarse, coarse)
    depth = cv2.resize(depth.clip(SILHOUETTE_DEPTH - 6, 80), (WORLD, WORLD), interpolation=cv2.INTER_CUBIC)
    return cv2.GaussianBlur(depth, (0, 0), 3.0)  # the cheek's rim is too steep for the coarse grid


def _coverage_of(polygon: np.ndarray, blur: float) -> np.ndarray:
    mask = np.zeros((WORLD, WORLD), np.float32)
    cv2.fillPoly(mask, [np.round(polygon * 8).astype(np.int32)], 1.0, shift=3)
    return cv2.GaussianBlur(mask, (0, 0), blur)


def turn(head: Head, yaw: float, pitch: float, roll: float, cells: int = CELLS) -> Turned:
    """Turn the head by angles in degrees (yaw > 0: nose toward image right; pitch > 0: up; roll > 0: clockwise)."""
    layers = torch.stack([head.weight, head.depth])[None].float()
    weight, depth = F.interpolate(layers, size=(cells, cells), mode="bilinear")[0]
    axis = (torch.arange(cells) + 0.5) * (WORLD / cells)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    pivot = head.mesh[:, :2].mean(0)
    matrix = rotation(yaw, pitch, roll)
    relative = torch.stack([x - pivot[0], y - pivot[1], depth - AXIS_DEPTH])
    turned = torch.einsum("ij,jhw->ihw", torch.from_numpy(matrix).float(), relative)
    flow = (turned[:2] - relative[:2]) * weight
    depth = turned[2] * weight + (BACKGROUND_DEPTH - AXIS_DEPTH) * (1 - weight)

    in_cells = flow * (cells / WORLD)
    facing_away = F.pad(in_cells[0].diff(dim=1), (0, 1)) < -0.9  # folds over: a back of the surface, not its front
    hidden = facing_away | (depth < _nearest_depth(in_cells, depth) - 8.0)
    in_cells = in_cells.masked_fill(hidden, torch.nan)  # a pixel without a finite flow is dropped by the warp
    landed, coverage = forward_warp(torch.cat([-flow, weight[None]])[None], in_cells[None])
    mesh = (head.mesh - [*pivot, AXIS_DEPTH]) @ matrix.T + [*pivot, AXIS_DEPTH]
    return Turned(*_without_gaps(landed[0, :2], (coverage[0] > 0.1).float(), landed[0, 2:] > 0.5), mesh[:, :2])


def rotation(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Turn (3, 3) by angles in degrees, as in `turn`, for coordinates x right, y down, z toward the camera."""
    a, b, c = np.radians([yaw, pitch, roll])
    about_y = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return about_z @ about_x @ about_y


def _nearest_depth(flow: Tensor, depth: Tensor) -> Tensor:
    """Largest depth (nearest to the camera) around the cell where each cell (S, S) lands: a z-buffer."""
    side = depth.shape[0]
    row, column = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    x = (column + flow[0].round().long()).clamp(0, side - 1)
    y = (row + flow[1].round().long()).clamp(0, side - 1)
    cell = (y * side + x).flatten()
    buffer = torch.full((side * side,), -1e4).scatter_reduce(0, cell, depth.flatten(), "amax")
    buffer = cv2.dilate(buffer.view(side, side).numpy(), np.ones((5, 5), np.uint8))
    return torch.from_numpy(buffer).flatten()[cell].view(side, side)


def _without_gaps(displacement: Tensor, seen: Tensor, on_head: Tensor) -> tuple[Tensor, Tensor]:
    """Close the gaps of stretched surfaces: in the head from itself, then the others from what surrounds it."""
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (GAP, GAP))
    head, around = seen * on_head, seen * ~on_head
    for gapped, source in ((head, head), (seen, around)):
        closed = torch.from_numpy(cv2.morphologyEx(gapped[0].numpy(), cv2.MORPH_CLOSE, ellipse))[None]
        gaps = closed * (1 - seen)
        displacement = torch.where(gaps > 0, _spread(displacement, source), displacement)
        seen = seen + gaps
    return displacement, seen


def _spread(values: Tensor, source: Tensor) -> Tensor:
    """Mean of the values (2, C, C) of the source cells (1, C, C) within GAP; 0 where there is none."""
    layers = torch.cat([values * source, source]).permute(1, 2, 0).numpy()
    total = torch.from_numpy(cv2.blur(layers, (2 * GAP + 1, 2 * GAP + 1))).permute(2, 0, 1)
    return total[:2] / total[2:].clamp_min(1e-6)


def make_pair(head: Head, yaw: float, pitch: float, roll: float, size: int, rng: np.random.Generator | None) -> Pair:
    """Turn a head and crop both views as a detector would; `rng` jitters the input's framing."""
    turned = turn(head, yaw, pitch, roll, CELLS if size > CROP / 2 else WORLD)
    left, right, mouth = eyes_and_mouth(turned.mesh)
    side, corner = frame_around((left + right) / 2, mouth, turned.mesh[:, 0], rng)
    layers = torch.cat([turned.displacement, turned.seen])[None]
    corner_at = torch.from_numpy(corner).float().view(1, 2, 1, 1)

    pixel = _centres(size)
    here = _sample(layers, pixel * side + corner_at, "nearest")  # interpolating would invent paths across the rims
    flow = ((pixel * side + corner_at + here[:, :2] - MARGIN) / CROP - pixel) * size

    photo, backdrop = dequantize(head.photo)[None], dequantize(head.backdrop)[None]
    if size < CROP:  # a photo pixel is narrower than a crop pixel: average first, then sample
        photo = F.interpolate(photo, scale_factor=size / CROP / PHOTO_SCALE, mode="area")
    fine = _centres(2 * size) * side + corner_at
    there = _sample(layers, fine, "nearest")
    image = torch.where(there[:, 2:] > 0, _sample(photo[:, :3], fine + there[:, :2]), _sample(backdrop, fine))
    frontal = pixel * CROP + MARGIN
    target = _sample(photo, frontal)[0]
    return Pair(
        image=F.avg_pool2d(image, 2)[0],
        target=target[:3],
        flow=flow[0],
        seen=here[0, 2:],
        face=_sample(head.weight[None, None].float(), frontal)[0],
        known=(target[3:] > 0.999).float() if len(target) == 4 else None,
        yaw=yaw,
    )


def _centres(size: int) -> Tensor:
    """Pixel centres of a crop (1, 2, S, S), from 0 to 1 across it."""
    return (mesh_grid(size, size) * (size - 1) / size + 1) / 2


def _sample(image: Tensor, world: Tensor, mode: str = "bilinear") -> Tensor:
    """Values of `image` (1, C, S, S), which spans the world, at world positions (1, 2, H, W)."""
    grid = (world / WORLD * 2 - 1).movedim(1, -1)
    return F.grid_sample(image, grid, mode=mode, padding_mode="border", align_corners=False)
