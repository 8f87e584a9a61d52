"""Pictures of a figure from any side, and where each of their pixels lies in the view from the front."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from deformcli.data import CROP, MARGIN, WORLD, rotation
from deformcli.faces import frame_around
from deformcli.images import from_unit, to_unit

from .figure import Figure
from .light import Light, illuminate, toward
from .rasterize import rasterize

LAYERS = 6  # surfaces that one can see through one another: strands of hair
FINER = 2  # pictures are drawn this much larger, and averaged
SHINE = np.array([[0.10, 14.0], [0.9, 220.0], [0.05, 10.0]], np.float32)  # strength, sharpness: skin, eyes, hair
SAME = 3.0  # crop units: surfaces no further apart than this are the same


class Lit(NamedTuple):
    """A figure, and what a renderer needs of its corners: uv, light, normal, lamp seen, cloth, gloss."""

    figure: Figure
    columns: np.ndarray  # (V, 11)
    lamp: np.ndarray  # (3,) linear
    towards_lamp: np.ndarray  # (3,)
    cloth: np.ndarray  # (3,) linear


class Camera(NamedTuple):
    """Looks at the pivot of a turned figure; the picture is a square of the plane through the pivot."""

    turn: np.ndarray  # (3, 3)
    distance: float  # crop units
    side: float  # of the square in crop units
    corner: np.ndarray  # (2,) top left, from the pivot

    def project(self, points: np.ndarray) -> np.ndarray:
        """(N, 3) x and y in the plane, in crop units from the pivot, and the distance."""
        turned = points @ self.turn.T
        distance = self.distance - turned[:, 2:]
        return np.concatenate([turned[:, :2] * (self.distance / distance), distance], 1)


class Drawing(NamedTuple):
    """A picture and what its pixels show."""

    image: np.ndarray  # (H, W, 3) float32, 0 to 1, gamma-encoded
    cover: np.ndarray  # (H, W) 1 where the figure hides the background
    corners: np.ndarray  # (H, W, 3) vertices of the triangle that a pixel shows
    weights: np.ndarray  # (H, W, 3) of those; all 0 where it shows the background
    distance: np.ndarray  # (H, W), inf likewise


class View(NamedTuple):
    """A turned picture and the way to the frontal one, in pixels."""

    image: np.ndarray  # (S, S, 3) uint8
    flow: np.ndarray  # (2, S, S) float16, to the frontal picture
    seen: np.ndarray  # (S, S) bool, what is visible there too


def prepare(figure: Figure, light: Light, cloth: tuple[float, float, float]) -> Lit:
    """Light a figure; every view of it shares this light, which turns with it."""
    received, lamp_seen = illuminate(figure, light)
    columns = [figure.uvs, received, figure.normals, lamp_seen[:, None], figure.cloth[:, None], figure.gloss[:, None]]
    lamp, lit_from = np.array(light.lamp, np.float32) * light.exposure, toward(light.azimuth, light.elevation)
    return Lit(figure, np.concatenate(columns, 1), lamp, lit_from, np.array(cloth, np.float32))


def frontal_camera(figure: Figure, distance: float) -> Camera:
    """The frame of a frontal crop, with the world around it."""
    camera = Camera(np.eye(3), distance, WORLD, np.zeros(2))
    side, corner = _frame(figure, camera, None)
    zoom = side / CROP
    return camera._replace(side=WORLD * zoom, corner=corner - MARGIN * zoom)


def _frame(figure: Figure, camera: Camera, rng: np.random.Generator | None) -> tuple[float, np.ndarray]:
    eyes, mouth, sides = (camera.project(figure.landmarks[name])[:, :2] for name in ("eyes", "mouth", "sides"))
    if rng is None and np.array_equal(camera.turn, np.eye(3)):
        sides = eyes  # a frontal crop is centred on the eyes
    return frame_around(eyes.mean(0), mouth.mean(0), sides[:, 0], rng)


def draw(lit: Lit, camera: Camera, pixels: int, background: np.ndarray) -> Drawing:
    """Draw a square of `pixels` before a background (pixels, pixels, 3) float32, 0 to 1."""
    figure = lit.figure
    screen = camera.project(figure.vertices)
    screen[:, :2] = (screen[:, :2] - camera.corner) * (pixels / camera.side)
    surfaces = rasterize(screen, figure.triangles, figure.two_sided, (pixels, pixels), LAYERS)

    count = pixels * pixels
    colour, left = np.zeros((count, 3), np.float32), np.ones(count, np.float32)
    shown = np.full(count, -1)
    for layer, triangle in enumerate(surfaces.triangle.reshape(LAYERS, -1)):
        here = np.flatnonzero((triangle >= 0) & (left > 0.02))
        corners = figure.triangles[triangle[here]]
        weights = _weights(surfaces.weights[layer].reshape(-1, 2)[here])
        shade, alpha = _shade(lit, (lit.columns[corners] * weights[..., None]).sum(1), camera)
        part = left[here] * alpha
        colour[here] += part[:, None] * shade
        left[here] -= part
        shown[here[(left[here] < 0.5) & (shown[here] < 0)]] = layer

    linear = colour + left[:, None] * background.reshape(-1, 3) ** 2.2
    at = np.flatnonzero(shown >= 0)
    corners, weights = np.zeros((count, 3), np.int32), np.zeros((count, 3), np.float32)
    distance = np.full(count, np.inf, np.float32)
    corners[at] = figure.triangles[surfaces.triangle.reshape(LAYERS, -1)[shown[at], at]]
    weights[at] = _weights(surfaces.weights.reshape(LAYERS, -1, 2)[shown[at], at])
    distance[at] = surfaces.distance.reshape(LAYERS, -1)[shown[at], at]
    shape = (pixels, pixels)
    return Drawing(
        (np.clip(linear, 0, 1) ** (1 / 2.2)).reshape(*shape, 3), 1 - left.reshape(shape),
        corners.reshape(*shape, 3), weights.reshape(*shape, 3), distance.reshape(shape),
    )  # fmt: skip


def _weights(first_two: np.ndarray) -> np.ndarray:
    return np.concatenate([first_two, 1 - first_two.sum(1, keepdims=True)], 1)


def _shade(lit: Lit, columns: np.ndarray, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Linear colour (N, 3) and alpha (N,) of surface points."""
    uv, received, normal = columns[:, :2], columns[:, 2:5], columns[:, 5:8]
    lamp_seen, cloth, gloss = columns[:, 8], columns[:, 9], columns[:, 10]
    texel = _sample(lit.figure.texture, uv)
    cloth = np.clip(cloth + 0.5, 0, 1)[:, None]
    albedo = texel[:, :3] ** 2.2 * (1 - cloth) + lit.cloth * cloth

    strength, sharpness = SHINE[np.round(gloss).astype(int).clip(0, 2)].T
    half = camera.turn[2] + lit.towards_lamp  # the third row: where the camera is, seen from the figure
    half = half / np.linalg.norm(half)
    facing = (normal @ half.astype(np.float32)).clip(1e-3) / np.linalg.norm(normal, axis=1).clip(1e-3)
    shine = strength * facing**sharpness * lamp_seen * (1 - cloth[:, 0])
    return albedo * received + shine[:, None] * lit.lamp, texel[:, 3]


def _sample(texture: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """(N, 4) RGBA, 0 to 1, at (N, 2) pixels of the texture, interpolated."""
    rows = -(-len(uv) // 1024)  # OpenCV takes no picture of more than 32,767 rows
    places = np.zeros((rows * 1024, 2), np.float32)
    places[: len(uv)] = uv - 0.5
    x, y = places.reshape(rows, 1024, 2).transpose(2, 0, 1) if rows else np.zeros((2, 1, 1024), np.float32)
    found = cv2.remap(texture, np.ascontiguousarray(x), np.ascontiguousarray(y), cv2.INTER_LINEAR)
    return to_unit(found.reshape(-1, 4)[: len(uv)])


class Studio:
    """A lit person before a background, drawn from the front once and then from any side.

    Args:
        plate: (P, P, 3) float32, 0 to 1: the background of the world frame; it does not turn.
        size: side of the pictures in pixels, a multiple of 4.
    """

    def __init__(self, lit: Lit, distance: float, plate: np.ndarray, size: int) -> None:
        self.lit, self.distance, self.plate, self.size = lit, distance, plate, size
        self.camera = frontal_camera(lit.figure, distance)
        pixels = size * FINER * WORLD // CROP
        self.world = draw(lit, self.camera, pixels, self._behind(self.camera, pixels))

    @property
    def target(self) -> tuple[np.ndarray, np.ndarray]:
        """The frontal picture (S, S, 3) uint8, and the figure in it (S, S), 0 to 1."""
        margin = round(self.size * FINER * MARGIN / CROP)
        inner = slice(margin, margin + self.size * FINER)
        return _smaller(self.world.image[inner, inner], self.size), _halve(self.world.cover[inner, inner], self.size)

    def view(self, angles: tuple[float, float, float], rng: np.random.Generator | None) -> View:
        """The person turned by yaw, pitch and roll in degrees; `rng` jitters the framing."""
        camera = Camera(rotation(*angles), self.distance, CROP, np.zeros(2))
        side, corner = _frame(self.lit.figure, camera, rng)
        camera = camera._replace(side=side, corner=corner)
        pixels = self.size * FINER
        drawn = draw(self.lit, camera, pixels, self._behind(camera, pixels))
        goal, seen = self._where(drawn, camera)
        nearest = _blocks(drawn.distance, self.size).argmin(2)
        zoom = self.size / self.camera.side * WORLD / CROP
        start = self.camera.corner + MARGIN * self.camera.side / WORLD
        flow = (goal - start) * zoom - _centres(pixels) / FINER
        flow = np.take_along_axis(_blocks(flow, self.size), nearest[..., None, None], 2)[:, :, 0]
        seen = np.take_along_axis(_blocks(seen, self.size), nearest[..., None], 2)[..., 0]
        return View(_smaller(drawn.image, self.size), flow.transpose(2, 0, 1).astype(np.float16), seen)

    def _behind(self, camera: Camera, pixels: int) -> np.ndarray:
        places = camera.corner + _centres(pixels) * (camera.side / pixels)
        x, y = np.moveaxis((places - self.camera.corner) * (len(self.plate) / self.camera.side) - 0.5, -1, 0)
        return cv2.remap(
            self.plate, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )

    def _where(self, drawn: Drawing, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
        """For each fine pixel its place in the frontal plane (crop units from the pivot), and whether it is seen."""
        pixels = len(drawn.distance)
        behind = camera.corner + _centres(pixels) * (camera.side / pixels)
        surface = (self.lit.figure.vertices[drawn.corners] * drawn.weights[..., None]).sum(2)
        there = self.camera.project(surface.reshape(-1, 3)).reshape(*surface.shape)
        figure = np.isfinite(drawn.distance)
        goal = np.where(figure[..., None], there[..., :2], behind)

        fine = len(self.world.distance)
        x, y = np.moveaxis(((goal - self.camera.corner) * (fine / self.camera.side)).astype(int), -1, 0)
        inside = (x >= 0) & (x < fine) & (y >= 0) & (y < fine)
        nearest = cv2.dilate(self.world.distance, np.ones((3, 3)))[y.clip(0, fine - 1), x.clip(0, fine - 1)]
        nearest = np.where(inside, nearest, np.inf)
        seen = np.where(figure, there[..., 2] < nearest + SAME, np.isinf(nearest))
        return goal, seen


def _centres(pixels: int) -> np.ndarray:
    axis = np.arange(pixels) + 0.5
    return np.stack(np.meshgrid(axis, axis), -1)


def _blocks(values: np.ndarray, size: int) -> np.ndarray:
    """(size * FINER, size * FINER, ...) -> (size, size, FINER * FINER, ...)."""
    parts = values.reshape(size, FINER, size, FINER, *values.shape[2:])
    return np.moveaxis(parts, 2, 1).reshape(size, size, FINER * FINER, *values.shape[2:])


def _halve(values: np.ndarray, size: int) -> np.ndarray:
    return cv2.resize(values, (size, size), interpolation=cv2.INTER_AREA)


def _smaller(image: np.ndarray, size: int) -> np.ndarray:
    return from_unit(_halve(image, size))
