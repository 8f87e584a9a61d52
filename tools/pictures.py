"""Draws the README's pictures with the bundled weights: python tools/pictures.py LONDON, the London Set as published"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

from deformcli.faces import Mtcnn, crop, square_around
from deformcli.images import read_image, write_image

ROOT = Path(__file__).parents[1]
EXAMPLES, IMAGES = ROOT / "examples", ROOT / "docs" / "images"
VIEWS = {
    "neutral_left_profile": "01",
    "neutral_left_3quarter": "02",
    "neutral_front": "03",
    "neutral_right_3quarter": "04",
    "neutral_right_profile": "05",
}
PEOPLE = "044", "114"  # held out
SIDE = 192


def deform(*arguments: str | Path) -> None:
    subprocess.run([sys.executable, "-m", "deformcli", *map(str, arguments), "--offline"], check=True)


def frontalized(folder: Path, london: Path) -> np.ndarray:
    """Each person's five views, as they are cut out, and below them what becomes of each."""
    photos = [london / view / f"{person}_{number}.jpg" for person in PEOPLE for view, number in VIEWS.items()]
    deform("frontalize", *photos, "-o", folder)
    detector = Mtcnn()
    inputs, outputs = [], []
    for photo in photos:
        rgb = read_image(photo).rgb
        inputs.append(crop(rgb, square_around(detector.find(rgb)[0]), SIDE))
        output = read_image(folder / photo.name).rgb
        outputs.append(cv2.resize(output, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC))
    rows = [pictures[i : i + len(VIEWS)] for i in range(0, len(photos), len(VIEWS)) for pictures in (inputs, outputs)]
    return np.concatenate([np.concatenate(row, 1) for row in rows])


def inpainted(folder: Path, name: str) -> np.ndarray:
    """What is missing in white by the mask of that name, and the result."""
    photo, mask, result = EXAMPLES / "astronaut.jpg", EXAMPLES / name, folder / name
    deform("inpaint", photo, "--mask", mask, "-o", result)
    holes = read_image(mask).rgb > 127
    return np.concatenate([np.where(holes, 255, read_image(photo).rgb).astype(np.uint8), read_image(result).rgb], 1)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        write_image(frontalized(Path(name), Path(sys.argv[1])), IMAGES / "frontalize.jpg")
        write_image(inpainted(Path(name), "scratches.png"), IMAGES / "inpaint.png")
        write_image(inpainted(Path(name), "removal.png"), IMAGES / "removal.jpg")
