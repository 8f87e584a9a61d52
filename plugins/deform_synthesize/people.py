"""Random people made of MakeHuman's parts: their choice (`random_person`) and their surface (`build`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from deformcli.data.turning import EYES_TO_MOUTH
from deformcli.errors import UsageError

from .makehuman import Mesh, read_binding, read_mesh, read_shape, read_texture

# Vertices of the base mesh: image left, image right, as the figure faces the camera.
OUTER_EYES, INNER_EYES, MOUTH_CORNERS, EAR_FRONTS = (25, 6809), (66, 6850), (5339, 11942), (5202, 11813)
NOSE_TIP, CHIN, NECK = 5054, 5225, 991
LOWEST, WIDEST = 4.6, 2.6  # what of the body is shown, in MakeHuman's units
PIVOT_DEPTH = 0.35  # of the vertical axis through the middle of the head, where faces are about 1.4
HAIRCUTS: Mapping[str, tuple[float, float]] = {  # how often women and men have it; the others' fringes hide the face
    "afro01": (0.5, 0.5), "long01": (3, 0.1), "ponytail01": (2.5, 0.1), "short01": (0.3, 1.5),
    "short02": (0.5, 2.5), "short03": (2, 0.2), "short04": (0.2, 2.5), "": (0.1, 1.6),
}  # fmt: skip


@dataclass(frozen=True)
class Person:
    """Everything that defines a person; written into the index."""

    age: float  # years
    male: float  # 0 to 1
    ancestry: dict[str, float]  # shares of african, asian, caucasian
    weight: float  # 0 to 1, 0.5 average
    muscle: float
    shapes: dict[str, float]  # .target file without suffix -> weight
    skins: dict[str, float]  # file -> share
    tint: tuple[float, float, float]  # of the skin
    eyes: str
    brows: str
    lashes: str
    hair: str  # empty: bald
    hair_colour: tuple[float, float, float]  # linear, of what light falls on it
    cloth: tuple[float, float, float]
    collar: float  # height of the neckline above the neck's base in crop units


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


def random_person(assets: Path, rng: np.random.Generator) -> Person:
    """Draw a grown-up at random."""
    age = float(np.clip(18 + rng.gamma(2.0, 13.0), 18, 80))
    male = float(np.clip(rng.random() < 0.5, 0.06, 0.94) + rng.uniform(-0.06, 0.06))
    names = ("african", "asian", "caucasian")
    ancestry = dict(zip(names, map(float, rng.dirichlet((0.35, 0.35, 0.45))), strict=True))
    weights = HAIRCUTS.values()
    share = np.array([w + (m - w) * round(male) for w, m in weights])
    if age < 35:
        share[-1] *= 0.3
    greying = np.clip((age - 38) / 40 + rng.normal(0, 0.15), 0, 1)
    return Person(
        age=age,
        male=male,
        ancestry=ancestry,
        weight=float(np.clip(rng.normal(0.52, 0.17), 0.1, 0.95)),
        muscle=float(np.clip(rng.normal(0.5, 0.12), 0.2, 0.8)),
        shapes=_random_shapes(assets, rng),
        skins=_random_skins(assets, age, male, ancestry["african"], rng),
        tint=_random_tint(ancestry, rng),
        eyes=_random_eyes(assets, ancestry["caucasian"], rng),
        brows=_choose(assets / "eyebrows", rng),
        lashes=_choose(assets / "eyelashes", rng),
        hair=str(rng.choice(list(HAIRCUTS), p=share / share.sum())),
        hair_colour=_random_hair_colour(ancestry["caucasian"], float(greying), rng),
        cloth=tuple(map(float, rng.uniform(0.02, 0.7) * rng.uniform(0.4, 1, 3))),  # type: ignore[arg-type]
        collar=float(rng.uniform(-14, 2)),
    )


def _choose(folder: Path, rng: np.random.Generator) -> str:
    names = sorted(path.name for path in folder.glob("*") if path.is_dir())
    if not names:
        raise UsageError(f"{folder}: nothing there", "name the folder of MakeHuman's assets with --assets")
    return str(rng.choice(names))


def _random_shapes(assets: Path, rng: np.random.Generator) -> dict[str, float]:
    """Mild changes of the features: opposite shapes share one number, left and right almost so."""
    shapes: dict[str, float] = {}
    for plus, minus in _opposites(assets / "targets"):
        folder = plus.split("/")[0]
        strength = float(np.clip(rng.normal(0, SPREADS[folder]), -2.2 * SPREADS[folder], 2.2 * SPREADS[folder]))
        name, amount = (plus, strength) if strength > 0 else (minus, -strength)
        if "/l-" in name:
            for side in ("/l-", "/r-"):
                shapes[name.replace("/l-", side)] = amount * float(np.clip(rng.normal(1, 0.12), 0.5, 1.5))
        else:
            shapes[name] = amount
    outline = rng.choice(["oval", "round", "square", "rectangular", "diamond", "triangular", "invertedtriangular"])
    shapes[f"head/head-{outline}"] = float(rng.uniform(0, 0.6))
    if rng.random() < 0.4:  # a hint of a smile
        smile = float(rng.uniform(0.2, 1.0))
        shapes |= {"mouth/mouth-angles-up": smile * 0.6, "mouth/mouth-scale-horiz-incr": smile * 0.5}
        shapes |= {"mouth/mouth-laugh-lines-out": smile * 0.5, "mouth/mouth-dimples-in": smile * 0.5}
    return shapes


SPREADS = {"cheek": 0.35, "chin": 0.3, "ears": 0.35, "eyebrows": 0.4, "eyes": 0.25, "forehead": 0.3, "head": 0.3,
           "mouth": 0.3, "nose": 0.3}  # fmt: skip
OPPOSITES = (("incr", "decr"), ("up", "down"), ("forward", "backward"), ("concave", "convex"), ("in", "out"))
OPPOSITES += (("compress", "uncompress"),)
UNUSED = ("trans-in", "head-trans", "head-angle", "head-scale", "mouth-trans", "nose-trans-in", "eye-trans-up")
UNUSED += ("ear-shape", "head-age", "laugh-lines", "dimples", "mouth-angles", "prognathism", "jaw-drop")


@lru_cache(maxsize=4)
def _opposites(targets: Path) -> list[tuple[str, str]]:
    """Pairs of shapes that undo one another, "folder/name" each; of left and right the left ones."""
    pairs = []
    for folder in SPREADS:
        names = {path.stem for path in (targets / folder).glob("*.target")}
        for (plus, minus), name in product(OPPOSITES, sorted(names)):
            other = f"{name.removesuffix(plus)}{minus}"
            known = name.endswith(f"-{plus}") and other in names
            if known and not name.startswith("r-") and not any(part in name for part in UNUSED):
                pairs.append((f"{folder}/{name}", f"{folder}/{other}"))
    return pairs


def _random_skins(assets: Path, age: float, male: float, african: float, rng: np.random.Generator) -> dict[str, float]:
    """Shares of up to four skins, as the file names AGE_TONE_SEX say they suit."""
    sex = "_male" if male > 0.5 else "_female"
    files = sorted(path.name for path in (assets / "skins").glob("*.jpg") if sex in path.name)
    groups = ("young", 25.0), ("middleage", 48.0), ("old", 70.0)
    ages = {name: max(0.0, 1 - abs(np.clip(age, 25, 70) - years) / 23) for name, years in groups}
    dark = float(np.clip(african * 1.3 - 0.15 + rng.normal(0, 0.06), 0, 1))
    shares: dict[str, float] = {}
    for (group, fits), (tone, amount) in product(ages.items(), (("dark", dark), ("light", 1 - dark))):
        suitable = [name for name in files if name.startswith(f"{group}_{tone}")]
        if suitable and fits * amount > 0.03:
            shares[str(rng.choice(suitable))] = fits * amount
    if not shares:
        raise UsageError(f"{assets / 'skins'}: no skin AGE_TONE{sex}*.jpg", "name MakeHuman's assets with --assets")
    total = sum(shares.values())
    return {name: float(share / total) for name, share in shares.items()}


def _random_tint(ancestry: Mapping[str, float], rng: np.random.Generator) -> tuple[float, float, float]:
    level = np.exp(rng.normal(0, 0.09))
    yellow = 0.06 * ancestry["asian"] + rng.normal(0, 0.02)
    red, green, blue = level * (1 + rng.normal(0, 0.03)), level, level * (1 - yellow + rng.normal(0, 0.03))
    return float(red), float(green * (1 + yellow / 3)), float(blue)


def _random_eyes(assets: Path, caucasian: float, rng: np.random.Generator) -> str:
    files = sorted(path.name for path in (assets / "eyes").glob("*_eye.png"))
    light = [name for name in files if "brown" not in name]
    brown = [name for name in files if "brown" in name]
    if not files:
        raise UsageError(f"{assets / 'eyes'}: no *_eye.png", "name the folder of MakeHuman's assets with --assets")
    return str(rng.choice(light if light and rng.random() < 0.6 * caucasian else brown or files))


def _random_hair_colour(caucasian: float, greying: float, rng: np.random.Generator) -> tuple[float, float, float]:
    """Linear reflectance: from black over brown to blond or red, then grey with age."""
    black, brown, blond, red = np.array(
        [[0.018, 0.014, 0.012], [0.1, 0.055, 0.03], [0.42, 0.29, 0.14], [0.28, 0.09, 0.03]]
    )
    share = rng.dirichlet((1.2, 1.2 * caucasian + 0.05, 0.9 * caucasian**2 + 1e-3, 0.25 * caucasian**2 + 1e-3))
    colour = share @ np.stack([black, brown, blond, red])
    grey = np.array([0.42, 0.41, 0.40]) * rng.uniform(0.5, 1.1)
    return tuple(map(float, colour + (grey - colour) * greying))  # type: ignore[return-value]


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
    body = read_mesh(assets / "base.obj").positions.astype(np.float64)
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
    worn = [("eyes/high-poly", _eye_texture(assets, person), (1024, 512), 1.0)]
    brow = tuple(0.6 * channel for channel in person.hair_colour)
    for kind, name, colour, corner, gloss in (
        ("eyelashes", person.lashes, (0.012, 0.01, 0.009), (1536, 0), 0.0),
        ("eyebrows", person.brows, brow, (1536, 512), 0.0),
        ("hair", person.hair, person.hair_colour, (1024, 0), 2.0),
    ):
        if name:
            worn.append((f"{kind}/{name}/{name}", _dyed(assets / kind / name, colour), corner, gloss))
    for path, texture, corner, gloss in worn:
        binding, mesh = read_binding(assets / f"{path}.mhclo"), read_mesh(assets / f"{path}.obj")
        if len(binding.vertices) != len(mesh.positions):
            raise UsageError(f"{path}.mhclo: not made for {path}.obj", "fetch the assets again")
        parts.append(_Part(mesh, binding.fit(body), texture, corner, gloss, gloss != 1.0))
    return _join(body, parts, person.collar)


@lru_cache(maxsize=4)
def _bust(assets: Path) -> Mesh:
    """The visible body from the chest up, without arms."""
    mesh = read_mesh(assets / "base.obj")
    corners = mesh.positions[mesh.triangles]
    shown = (mesh.groups == "body") & (corners[..., 1] > LOWEST).all(1) & (np.abs(corners[..., 0]) < WIDEST).all(1)
    return mesh._replace(triangles=mesh.triangles[shown], uv_triangles=mesh.uv_triangles[shown])


def _skin(assets: Path, person: Person) -> np.ndarray:
    """Skins mixed and tinted, RGBA 1024 x 1024."""
    mixed = np.zeros((1024, 1024, 3), np.float32)
    for name, share in person.skins.items():
        picture = read_texture(assets / "skins" / name)[..., :3]
        mixed += share * cv2.resize(picture, (1024, 1024), interpolation=cv2.INTER_CUBIC)
    return _opaque(np.clip(mixed * person.tint, 0, 255).astype(np.uint8))


def _opaque(picture: np.ndarray) -> np.ndarray:
    return np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)])


def _eye_texture(assets: Path, person: Person) -> np.ndarray:
    return cv2.resize(read_texture(assets / "eyes" / person.eyes), (256, 256), interpolation=cv2.INTER_AREA)


def _dyed(folder: Path, colour: tuple[float, ...]) -> np.ndarray:
    """A texture of hair in another colour: its own light and dark around the colour. RGBA 512 x 512."""
    relief, alpha = _relief(folder)
    dyed = np.minimum(relief[..., None] * (np.array(colour, np.float32) ** np.float32(1 / 2.2) * 255), 255)
    return np.dstack([dyed.astype(np.uint8), alpha])


@lru_cache(maxsize=64)
def _relief(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Light and dark of a texture of hair, around 1, as a factor of gamma-encoded colours; and its alpha."""
    (path,) = folder.glob("*.png")
    texture = cv2.resize(read_texture(path), (512, 512), interpolation=cv2.INTER_AREA)
    light = (texture[..., :3].astype(np.float32) / 255) ** 2.2 @ np.array([0.3, 0.59, 0.11], np.float32)
    alpha = texture[..., 3] / np.float32(255)
    mean = (light * alpha).sum() / max(float(alpha.sum()), 1e-6)
    return np.clip((light + 0.01) / (mean + 0.01), 0.15, 4) ** np.float32(0.6 / 2.2), texture[..., 3]


def _join(body: np.ndarray, parts: list[_Part], collar: float) -> Figure:
    """One surface with one texture, in crop units about the pivot."""
    eyes, mouth = body[[*OUTER_EYES, *INNER_EYES]].reshape(2, 2, 3).mean(0), body[list(MOUTH_CORNERS)]
    scale = EYES_TO_MOUTH / np.linalg.norm((eyes.mean(0) - mouth.mean(0))[:2])
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
    return part.texture[y, x, 3] / 255.0


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
