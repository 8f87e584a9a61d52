"""The surface of a person made of MakeHuman's parts: the body in its shape, and what it wears, as one mesh."""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from deformcli.data import CROP
from deformcli.errors import UsageError
from deformcli.faces import EYES_TO_MOUTH
from deformcli.images import to_unit

from .makehuman import Mesh, base_mesh, irises, place, read_binding, read_mesh, read_shape, read_texture, skins
from .people import Person

# Vertices of the base mesh: image left, image right, as the figure faces the camera.
OUTER_EYES, INNER_EYES, MOUTH_CORNERS, EAR_FRONTS = (25, 6809), (66, 6850), (5339, 11942), (5202, 11813)
NOSE_TIP, CHIN, NECK = 5054, 5225, 991
LOWEST, WIDEST = 4.6, 2.6  # what of the body is shown, in MakeHuman's units
PIVOT_DEPTH = 0.35  # of the vertical axis through the middle of the head, where faces are about 1.4


class Figure(NamedTuple):
    """A person's surface. Crop units (pupils to mouth is 42), x right, y down, z toward the camera, pivot at 0."""

    vertices: np.ndarray  # (V, 3)
    normals: np.ndarray  # (V, 3) outward
    uvs: np.ndarray  # (V, 2) in pixels of the texture
    cloth: np.ndarray  # (V,) crop units below the neckline
    gloss: np.ndarray  # (V,) 0 skin, 1 eyes, 2 hair: how a surface shines
    triangles: np.ndarray  # (T, 3)
    two_sided: np.ndarray  # (T,)
    casts: np.ndarray  # (T,) whether it is solid enough to cast a shadow
    texture: np.ndarray  # (H, W, 4) uint8 RGBA
    landmarks: dict[str, np.ndarray]  # eyes (2, 3), mouth (2, 3), sides (4, 3)


def macro_weights(person: Person) -> dict[str, float]:
    """Weights of the macro targets: products of the shares of ancestry, sex, age, muscle and weight.

    Ages go from 25 ("young") to 90 ("old") in a straight line and down to 12 ("child"); as in MakeHuman.
    """
    old = float(np.clip((person.age - 25) / 65, 0, 1))
    young = 1 - old if person.age >= 25 else float(np.clip((person.age - 12) / 13, 0, 1))
    ages = {"old": old, "young": young, "child": 1 - old - young}
    sexes = {"male": person.male, "female": 1 - person.male}

    def around_average(value: float, what: str) -> dict[str, float]:
        low, high = max(0.0, 1 - 2 * value), max(0.0, 2 * value - 1)
        return {f"min{what}": low, f"average{what}": 1 - low - high, f"max{what}": high}

    muscles, weights = around_average(person.muscle, "muscle"), around_average(person.weight, "weight")
    found = {}
    for (sex, a), (age, b) in product(sexes.items(), ages.items()):
        for origin, share in person.ancestry.items():
            found[f"macrodetails/{origin}-{sex}-{age}"] = a * b * share
        for (muscle, c), (weight, d) in product(muscles.items(), weights.items()):
            found[f"macrodetails/universal-{sex}-{age}-{muscle}-{weight}"] = a * b * c * d
    return {name: amount for name, amount in found.items() if amount > 1e-3}


def shape_body(assets: Path, person: Person) -> np.ndarray:
    """Positions (V, 3) of all vertices of the base mesh."""
    body = base_mesh(assets).positions.astype(np.float64)
    for name, amount in (macro_weights(person) | person.shapes).items():
        shape = read_shape(assets / "targets" / f"{name}.target")
        body[shape.vertices] += amount * shape.moves
    return body


class _Part(NamedTuple):
    """A mesh on the figure, before all are joined."""

    mesh: Mesh
    positions: np.ndarray
    texture: np.ndarray
    corner: tuple[int, int]  # where the texture lies on the common one: x, y
    gloss: float
    two_sided: bool


def build(assets: Path, person: Person) -> Figure:
    """The person's surface. Raises UsageError if a file is missing or damaged."""
    body = shape_body(assets, person)
    parts = [_Part(_bust(assets), body, _skin(assets, person), (0, 0), 0, False)]
    eyes = place(assets, "eyes/high-poly/high-poly.obj", "eyes/high-poly.obj")
    iris = cv2.resize(read_texture(irises(assets) / person.eyes), (256, 256), interpolation=cv2.INTER_AREA)
    worn = [(eyes, iris, (1024, 512), 1.0)]
    brow = tuple(0.6 * channel for channel in person.hair_colour)
    for kind, name, colour, corner, gloss in (
        ("eyelashes", person.lashes, (0.012, 0.01, 0.009), (1536, 0), 0.0),
        ("eyebrows", person.brows, brow, (1536, 512), 0.0),
        ("hair", person.hair, person.hair_colour, (1024, 0), 2.0),
    ):
        if name:
            folder = assets / kind / name
            worn.append((folder / f"{name}.obj", _dyed(folder, colour), corner, gloss))
    for path, texture, corner, gloss in worn:
        binding, mesh = read_binding(path.with_suffix(".mhclo")), read_mesh(path)
        if len(binding.vertices) != len(mesh.positions):
            raise UsageError(f"{path.with_suffix('.mhclo')}: not made for {path.name}", "fetch the assets again")
        parts.append(_Part(mesh, binding.fit(body), texture, corner, gloss, gloss != 1.0))
    return _join(body, parts, person.collar)


@lru_cache(maxsize=4)
def _bust(assets: Path) -> Mesh:
    """The visible body from the chest up, without arms."""
    mesh = base_mesh(assets)
    corners = mesh.positions[mesh.triangles]
    shown = (mesh.groups == "body") & (corners[..., 1] > LOWEST).all(1) & (np.abs(corners[..., 0]) < WIDEST).all(1)
    return mesh._replace(triangles=mesh.triangles[shown], uv_triangles=mesh.uv_triangles[shown])


def _skin(assets: Path, person: Person) -> np.ndarray:
    """Skins mixed and tinted, RGBA 1024 x 1024."""
    mixed = np.zeros((1024, 1024, 3), np.float32)
    for name, share in person.skins.items():
        picture = read_texture(skins(assets) / name)[..., :3]
        mixed += share * cv2.resize(picture, (1024, 1024), interpolation=cv2.INTER_CUBIC)
    skin = np.clip(mixed * person.tint, 0, 255).astype(np.uint8)
    return np.dstack([skin, np.full((1024, 1024), 255, np.uint8)])


def _dyed(folder: Path, colour: tuple[float, ...]) -> np.ndarray:
    """A texture of hair in another colour: its own light and dark around the colour. RGBA 512 x 512."""
    relief, alpha = _relief(folder)
    dyed = np.minimum(relief[..., None] * (np.array(colour, np.float32) ** np.float32(1 / 2.2) * 255), 255)
    return np.dstack([dyed.astype(np.uint8), alpha])


@lru_cache(maxsize=64)
def _relief(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Light and dark of a texture of hair, around 1, as a factor of gamma-encoded colours; and its alpha."""
    pictures = sorted(folder.glob("*.png"), key=lambda path: ("diffuse" not in path.name, path.name))
    if not pictures:
        raise UsageError(f"{folder}: no .png there", "fetch the assets again")
    texture = cv2.resize(read_texture(pictures[0]), (512, 512), interpolation=cv2.INTER_AREA)
    light = to_unit(texture[..., :3]) ** 2.2 @ np.array([0.3, 0.59, 0.11], np.float32)
    alpha = to_unit(texture[..., 3])
    mean = (light * alpha).sum() / max(float(alpha.sum()), 1e-6)
    return np.clip((light + 0.01) / (mean + 0.01), 0.15, 4) ** np.float32(0.6 / 2.2), texture[..., 3]


def _join(body: np.ndarray, parts: list[_Part], collar: float) -> Figure:
    """One surface with one texture, in crop units about the pivot."""
    eyes, mouth = body[[*OUTER_EYES, *INNER_EYES]].reshape(2, 2, 3).mean(0), body[list(MOUTH_CORNERS)]
    scale = CROP * EYES_TO_MOUTH / np.linalg.norm((eyes.mean(0) - mouth.mean(0))[:2])
    origin = np.array([0, eyes[:, 1].mean(), PIVOT_DEPTH])

    def to_crop(positions: np.ndarray) -> np.ndarray:
        return ((positions - origin) * scale * [1, -1, 1]).astype(np.float32)

    texture = np.zeros((1024, 2048, 4), np.uint8)
    columns: dict[str, list[np.ndarray]] = {name: [] for name in Figure._fields[:8]}
    first = 0
    for part in parts:
        x, y = part.corner
        side = part.texture.shape[0]
        texture[y : y + side, x : x + side] = part.texture
        pairs, triangles = _split_seams(part.mesh)
        uv = part.mesh.uvs[pairs[:, 1]].clip(0.5 / side, 1 - 0.5 / side)
        positions = to_crop(part.positions)
        alpha = _alpha_in_the_middle(part, pairs, triangles)
        columns["vertices"].append(positions[pairs[:, 0]])
        columns["normals"].append(_normals(positions, part.mesh.triangles, part.gloss == 2.0)[pairs[:, 0]])
        columns["uvs"].append(np.stack([x + uv[:, 0] * side, y + (1 - uv[:, 1]) * side], 1).astype(np.float32))
        height = positions[pairs[:, 0], 1] - to_crop(body[NECK])[1] - 24 + collar
        columns["cloth"].append(
            (height if part.gloss == 0 and not part.two_sided else np.full(len(pairs), -99.0)).astype(np.float32)
        )
        columns["gloss"].append(np.full(len(pairs), part.gloss, np.float32))
        columns["triangles"].append(triangles + first)
        columns["two_sided"].append(np.full(len(triangles), part.two_sided))
        columns["casts"].append(alpha > 0.6)
        first += len(pairs)
    sides = to_crop(body[[NOSE_TIP, CHIN, *EAR_FRONTS]])
    landmarks = {"eyes": to_crop(eyes), "mouth": to_crop(mouth), "sides": sides}
    return Figure(
        **{name: np.concatenate(values) for name, values in columns.items()}, texture=texture, landmarks=landmarks
    )


def _split_seams(mesh: Mesh) -> tuple[np.ndarray, np.ndarray]:
    """Distinct (position, uv) pairs (P, 2) of a mesh and its triangles as indices of them."""
    corners = np.stack([mesh.triangles, mesh.uv_triangles], -1).reshape(-1, 2)
    pairs, inverse = np.unique(corners, axis=0, return_inverse=True)
    return pairs, inverse.reshape(-1, 3).astype(np.int32)


def _alpha_in_the_middle(part: _Part, pairs: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    side = part.texture.shape[0]
    middle = part.mesh.uvs[pairs[:, 1]][triangles].mean(1)
    x, y = (np.stack([middle[:, 0], 1 - middle[:, 1]]) * side).astype(int).clip(0, side - 1)
    return to_unit(part.texture[y, x, 3])


def _normals(positions: np.ndarray, triangles: np.ndarray, hair: bool) -> np.ndarray:
    """Outward unit normals (V, 3). Cards of hair have none of their own: theirs are those of a ball around them."""
    a, b, c = (positions[triangles[:, i]] for i in range(3))
    across = np.cross(c - a, b - a)  # y points down here, so that triangles turn the other way
    normals = np.zeros_like(positions)
    for corner in range(3):
        np.add.at(normals, triangles[:, corner], across)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-9
    if hair:
        ball = positions - [0, -8, 0]
        ball /= np.linalg.norm(ball, axis=1, keepdims=True)
        normals = np.where((normals * ball).sum(1, keepdims=True) < 0, -normals, normals) * 0.5 + ball
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return normals.astype(np.float32)
