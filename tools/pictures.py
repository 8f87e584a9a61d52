"""Draws the README's pictures from `examples/` with the bundled weights: python tools/pictures.py"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

from deformcli.images import read_image, write_image

ROOT = Path(__file__).parents[1]
EXAMPLES, IMAGES = ROOT / "examples", ROOT / "docs" / "images"
TURNED = [EXAMPLES / f"{name}.jpg" for name in ("turned-30", "turned-45", "turned-60", "astronaut")]
FACE = (slice(20, 276), slice(98, 354))  # the astronaut's head in her photo


def deform(*arguments: str | Path) -> None:
    subprocess.run([sys.executable, "-m", "deformcli", *map(str, arguments), "--offline"], check=True)


def frontalized(folder: Path) -> np.ndarray:
    """Inputs above, their frontal views below."""
    deform("frontalize", *TURNED, "-o", folder)
    inputs = [read_image(path).rgb for path in TURNED]
    inputs[-1] = np.ascontiguousarray(inputs[-1][FACE])
    outputs = [read_image(folder / path.name).rgb for path in TURNED]
    enlarged = [cv2.resize(output, (256, 256), interpolation=cv2.INTER_CUBIC) for output in outputs]
    return np.concatenate([np.concatenate(inputs, 1), np.concatenate(enlarged, 1)])


def inpainted(folder: Path) -> np.ndarray:
    """What is missing in white, and the result."""
    photo, mask, result = EXAMPLES / "astronaut.jpg", EXAMPLES / "scratches.png", folder / "inpainted.png"
    deform("inpaint", photo, "--mask", mask, "-o", result)
    holes = read_image(mask).rgb > 127
    return np.concatenate([np.where(holes, 255, read_image(photo).rgb).astype(np.uint8), read_image(result).rgb], 1)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        write_image(frontalized(Path(name)), IMAGES / "frontalize.png")
        write_image(inpainted(Path(name)), IMAGES / "inpaint.png")
