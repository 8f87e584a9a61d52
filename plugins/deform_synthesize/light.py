"""Light that falls on a figure: a softly graded surround and a lamp, each with the shadows they cast."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .figure import Figure
from .rasterize import rasterize

AROUND = 40  # directions that stand for the surround
LAMP = 6  # directions that stand for the lamp, which is not a point
SHADOW_PIXELS = 128
FOUR = (0, 1, SHADOW_PIXELS, SHADOW_PIXELS + 1)  # a pixel and its neighbours
REACH, FAR, BIAS = 110.0, 2000.0, 2.5  # crop units: half a side of the shadow's picture, its camera, what is no gap
WRAP = np.array([0.34, 0.16, 0.1], np.float32)  # light that wanders below the skin, most of it red


@dataclass(frozen=True)
class Light:
    """Directions point toward the light, in the figure's frame: x right, y down, z to the front."""

    azimuth: float  # degrees; positive: from image right
    elevation: float  # degrees; positive: from above
    lamp: tuple[float, float, float]  # colour times strength
    above: tuple[float, float, float]  # the surround's colour above,
    below: tuple[float, float, float]  # below,
    fill: float  # and how much more of it comes from the front
    exposure: float


def random_light(rng: np.random.Generator) -> Light:
    warmth = rng.normal(0, 0.12)
    lamp = rng.uniform(0.15, 1.5) * np.exp([warmth, 0, -warmth])
    cool = rng.normal(0, 0.08)
    above = rng.uniform(0.6, 1.0) * np.exp([cool, 0, -cool])
    below = above * rng.uniform(0.25, 0.8) * np.exp([0.05, 0, -0.05])
    return Light(
        azimuth=float(np.clip(rng.normal(0, 42), -100, 100)),
        elevation=float(np.clip(rng.normal(28, 18), -15, 75)),
        lamp=tuple(map(float, lamp)),  # type: ignore[arg-type]
        above=tuple(map(float, above)),  # type: ignore[arg-type]
        below=tuple(map(float, below)),  # type: ignore[arg-type]
        fill=float(rng.uniform(0, 1.5)),
        exposure=float(np.clip(rng.normal(0.85, 0.14), 0.5, 1.15)),
    )


def toward(azimuth: float, elevation: float) -> np.ndarray:
    a, e = np.radians([azimuth, elevation])
    return np.array([np.sin(a) * np.cos(e), -np.sin(e), np.cos(a) * np.cos(e)], np.float32)


def _ball(count: int) -> np.ndarray:
    """Unit vectors (count, 3) spread evenly (a Fibonacci lattice)."""
    z = 1 - (2 * np.arange(count) + 1) / count
    angle = np.pi * (1 + 5**0.5) * np.arange(count)
    return np.stack([np.sqrt(1 - z**2) * np.cos(angle), np.sqrt(1 - z**2) * np.sin(angle), z], 1).astype(np.float32)


def illuminate(figure: Figure, light: Light) -> tuple[np.ndarray, np.ndarray]:
    """Light on every vertex.

    Returns: (V, 3) what a white surface there would send back, linear, about `light.exposure` in the middle of the
    face; (V,) how much of the lamp is seen from there, 0 to 1.
    """
    spread = np.stack([toward(light.azimuth + 9 * np.cos(t), light.elevation + 9 * np.sin(t)) for t in range(LAMP)])
    around = _ball(AROUND)
    upward = (1 - around[:, 1:2]) / 2
    glow = np.array(light.below) + (np.array(light.above) - np.array(light.below)) * upward
    glow = glow * (1 + light.fill * np.maximum(0, around[:, 2:3])) * (4 / AROUND)
    directions = np.concatenate([around, spread])
    colours = np.concatenate([glow, np.tile(np.array(light.lamp) / LAMP, (LAMP, 1))]).astype(np.float32)

    seen = _visibility(figure, directions)
    towards = figure.normals @ directions.T  # (V, D)
    total = np.stack(
        [(np.maximum(0, towards + w) / (1 + w) * seen) @ colours[:, channel] for channel, w in enumerate(WRAP)], 1
    )
    lit = seen[:, AROUND:].mean(1)
    face = (figure.normals[:, 2] > 0.6) & (figure.gloss == 0) & (figure.cloth < -20)
    level = total[face].mean() if face.any() else 1.0
    return (total * (light.exposure / level)).astype(np.float32), lit


def _visibility(figure: Figure, directions: np.ndarray) -> np.ndarray:
    """(V, D) 0 to 1: whether a vertex sees that far in a direction, by the depth of the figure as seen from there."""
    triangles = figure.triangles[figure.casts]
    two_sided = np.ones(len(triangles), np.uint8)
    scale = SHADOW_PIXELS / (2 * REACH)
    seen = np.empty((len(directions), len(figure.vertices)), np.float32)
    for row, direction in zip(seen, directions, strict=True):
        placed = figure.vertices @ _facing(direction).T
        screen = placed * np.float32([scale, scale, -1]) + np.float32([SHADOW_PIXELS / 2, SHADOW_PIXELS / 2, FAR])
        surfaces = rasterize(screen, triangles, two_sided, (SHADOW_PIXELS, SHADOW_PIXELS), 1)
        nearest = np.where(surfaces.triangle[0] < 0, np.inf, surfaces.distance[0]).ravel()
        x, y = (screen[:, :2] - 0.5).astype(np.int32).clip(0, SHADOW_PIXELS - 2).T
        corner, open_from = y * SHADOW_PIXELS + x, screen[:, 2] - BIAS
        row[:] = sum((nearest[corner + step] > open_from).astype(np.float32) for step in FOUR) / 4
    return seen.T


def _facing(direction: np.ndarray) -> np.ndarray:
    """Axes (3, 3) of a picture taken from that direction: right, down, and toward the camera."""
    helper = (0, 1, 0) if abs(direction[1]) < 0.9 else (1, 0, 0)
    right = np.cross(helper, direction)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(direction, right), direction]).astype(np.float32)
