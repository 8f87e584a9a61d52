"""Random people made of MakeHuman's parts: which ones. `figure` makes their surface."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from pathlib import Path

import numpy as np

from deformcli.errors import UsageError

from .makehuman import irises, skins

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


def random_person(assets: Path, rng: np.random.Generator) -> Person:
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
    folder = skins(assets)
    files = sorted(path.name for path in folder.glob("*") if path.suffix in (".jpg", ".png") and sex in path.name)
    groups = ("young", 25.0), ("middleage", 48.0), ("old", 70.0)
    ages = {name: max(0.0, 1 - abs(np.clip(age, 25, 70) - years) / 23) for name, years in groups}
    dark = float(np.clip(african * 1.3 - 0.15 + rng.normal(0, 0.06), 0, 1))
    shares: dict[str, float] = {}
    for (group, fits), (tone, amount) in product(ages.items(), (("dark", dark), ("light", 1 - dark))):
        suitable = [name for name in files if name.startswith(f"{group}_{tone}")]
        if suitable and fits * amount > 0.03:
            shares[str(rng.choice(suitable))] = fits * amount
    if not shares:
        raise UsageError(f"{folder}: no skin AGE_TONE{sex}*.png or .jpg", "name MakeHuman's assets with --assets")
    total = sum(shares.values())
    return {name: float(share / total) for name, share in shares.items()}


def _random_tint(ancestry: Mapping[str, float], rng: np.random.Generator) -> tuple[float, float, float]:
    level = np.exp(rng.normal(0, 0.09))
    yellow = 0.06 * ancestry["asian"] + rng.normal(0, 0.02)
    red, green, blue = level * (1 + rng.normal(0, 0.03)), level, level * (1 - yellow + rng.normal(0, 0.03))
    return float(red), float(green * (1 + yellow / 3)), float(blue)


def _random_eyes(assets: Path, caucasian: float, rng: np.random.Generator) -> str:
    folder = irises(assets)
    files = sorted(path.name for path in folder.glob("*_eye.png"))
    light = [name for name in files if "brown" not in name]
    brown = [name for name in files if "brown" in name]
    if not files:
        raise UsageError(f"{folder}: no *_eye.png", "name the folder of MakeHuman's assets with --assets")
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
