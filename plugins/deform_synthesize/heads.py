"""One rendered person: body, light, background and camera drawn at random, then all views."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np

from deformcli.data import Sample, read_picture
from deformcli.errors import UsageError
from deformcli.images import to_unit

from .figure import build
from .light import random_light
from .people import random_person
from .produce import SetConfig
from .render import Studio, prepare

PLATE = 224  # pixels of a background
NEAREST, FARTHEST = 360.0, 1800.0  # cameras, in crop units: about 0.6 and 3 m


def make_head(config: SetConfig, identity: str, assets: Path, photos: Sequence[Path]) -> list[Sample]:
    """A person's samples. Raises UsageError naming an asset that is missing or damaged."""
    rng = config.random(identity)
    person, light = random_person(assets, rng), random_light(rng)
    distance = 1 / rng.uniform(1 / FARTHEST, 1 / NEAREST)
    plate = random_background(rng, photos)
    studio = Studio(prepare(build(assets, person), light, person.cloth), distance, plate, config.size)
    target, face = studio.target
    known = {"age": round(person.age, 1), "male": round(person.male, 2), "ancestry": person.ancestry}
    about = {"light": asdict(light), "distance": distance, "person": known | {"hair": person.hair}}
    samples = []
    for angles in config.draw_angles(rng):
        view = studio.view(angles, rng)
        turned = dict(zip(("yaw", "pitch", "roll"), angles, strict=True))
        source = {"source": "MakeHuman", "licence": "CC0-1.0"}
        samples.append(Sample(view.image, target, view.flow, view.seen, face, turned | about | source))
    return samples


def random_background(rng: np.random.Generator, photos: Sequence[Path]) -> np.ndarray:
    """(PLATE, PLATE, 3) float32, 0 to 1: plain, graded or mottled, or a crop of a photo."""
    if photos and rng.random() < 0.5:
        return _crop(_readable(photos, int(rng.integers(len(photos)))), rng)
    base = rng.uniform(0.05, 0.95) + rng.normal(0, 0.06, 3)
    other = base + rng.normal(0, 0.12) + rng.normal(0, 0.05, 3)
    kind = rng.choice(["plain", "graded", "mottled"])
    if kind == "plain":
        mix = np.zeros((2, 2))
    elif kind == "graded":
        mix = rng.random((2, 2))
    else:
        side = int(rng.integers(4, 14))
        mix = rng.random((side, side))
    mix = cv2.resize(mix, (PLATE, PLATE), interpolation=cv2.INTER_CUBIC)[..., None]
    return np.clip(base + (other - base) * mix, 0, 1).astype(np.float32)


def _readable(photos: Sequence[Path], first: int) -> np.ndarray:
    """A photo, or the next one that can be read. Raises UsageError if none can."""
    for path in (*photos[first:], *photos[:first]):
        with suppress(UsageError):
            return read_picture(path)[..., :3]
    raise UsageError("none of the pictures of --backgrounds can be read", "name a folder of photos")


def _crop(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random square, out of focus."""
    height, width = picture.shape[:2]
    side = int(min(height, width) * rng.uniform(0.4, 1))
    top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
    square = cv2.resize(picture[top : top + side, left : left + side], (PLATE, PLATE), interpolation=cv2.INTER_AREA)
    return to_unit(cv2.GaussianBlur(square, (0, 0), rng.uniform(0.5, 4)))
