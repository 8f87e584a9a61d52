"""A tree of assets in MakeHuman's layout and formats, small enough to be made on the spot: an egg with a face."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from deform_synthesize import figure, people
from deform_synthesize.rasterize import LIBRARY

GRID = 40
FIRST = 8000  # vertices of the egg; those that the code knows by number lie elsewhere
LANDMARKS = {  # as on MakeHuman's base mesh: x, y, z
    figure.OUTER_EYES: ((-0.45, 7.28, 1.35), (0.45, 7.28, 1.35)),
    figure.INNER_EYES: ((-0.18, 7.27, 1.38), (0.18, 7.27, 1.38)),
    figure.MOUTH_CORNERS: ((-0.27, 6.62, 1.42), (0.27, 6.62, 1.42)),
    figure.EAR_FRONTS: ((-0.68, 7.19, 0.93), (0.68, 7.19, 0.93)),
    (figure.NOSE_TIP, figure.CHIN, figure.NECK): ((0, 6.94, 1.68), (0, 6.2, 1.43), (0, 6.15, 1.23)),
}


@pytest.fixture(scope="session", autouse=True)
def _rasteriser() -> None:
    if not LIBRARY.is_file():
        pytest.skip("needs the rasteriser, which is built where there is a compiler")


@pytest.fixture(scope="session")
def assets(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("makehuman")
    write_base(root / "base.obj")
    for sex in ("male", "female"):
        for age in ("young", "old", "child"):
            names = [f"{origin}-{sex}-{age}" for origin in ("african", "asian", "caucasian")]
            names += [f"universal-{sex}-{age}-{m}muscle-{w}weight" for m in LEVELS for w in LEVELS]
            for name in names:
                write(root / "targets/macrodetails" / f"{name}.target", f"# a comment\n{FIRST} 0 0.01 0\n")
    for outline in ("oval", "round", "square", "rectangular", "diamond", "triangular", "invertedtriangular"):
        write(root / f"targets/head/head-{outline}.target", "")
    for side in "lr":
        for change in ("incr", "decr"):
            write(root / f"targets/ears/{side}-ear-flap-{change}.target", f"{FIRST + 9} 0.02 0 0\n")
    for name in ("mouth-angles-up", "mouth-scale-horiz-incr", "mouth-laugh-lines-out", "mouth-dimples-in"):
        write(root / f"targets/mouth/{name}.target", "")
    for tone in ("light", "dark"):
        for sex in ("male", "female"):
            for age in ("young", "middleage", "old"):
                write_picture(root / f"skins/{age}_{tone}skinned_{sex}_diffuse.jpg", mottled(3))
    for kind, name in [("eyebrows", "brow1"), ("eyelashes", "lash1"), *(("hair", n) for n in people.HAIRCUTS if n)]:
        write_worn(root / kind / name, name)
        write_picture(root / kind / name / f"{name}_diffuse.png", mottled(4))
    write_worn(root / "eyes", "high-poly")
    write_picture(root / "eyes/brown_eye.png", mottled(4))
    return root


LEVELS = ("min", "average", "max")


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def write_picture(path: Path, picture: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), picture)


def mottled(channels: int) -> np.ndarray:
    coarse = np.random.default_rng(channels).integers(60, 200, (12, 12, channels), dtype=np.uint8)
    return cv2.resize(coarse, (64, 64), interpolation=cv2.INTER_CUBIC)


def write_base(path: Path) -> None:
    """12,000 vertices, of which an egg of quads is the body."""
    positions = np.zeros((12_000, 3))
    for vertices, places in LANDMARKS.items():
        positions[list(vertices)] = places
    down, around = np.meshgrid(np.linspace(0, 1, GRID), np.linspace(0, 1, GRID), indexing="ij")
    polar, angle = down * np.pi, around * 2 * np.pi
    egg = np.stack([0.8 * np.sin(polar) * np.sin(angle), 1.2 * np.cos(polar), np.sin(polar) * np.cos(angle)], -1)
    positions[FIRST : FIRST + GRID**2] = egg.reshape(-1, 3) + np.array([0, 7.1, 0.5])
    lines = [f"v {x:.5f} {y:.5f} {z:.5f}" for x, y, z in positions]
    lines += [f"vt {u:.5f} {1 - v:.5f}" for v, u in np.stack([down, around], -1).reshape(-1, 2)]
    lines.append("g body")
    for row in range(GRID - 1):
        for column in range(GRID - 1):
            corners = [row * GRID + column + step for step in (0, GRID, GRID + 1, 1)]
            lines.append("f " + " ".join(f"{FIRST + corner + 1}/{corner + 1}" for corner in corners))
    write(path, "\n".join(lines))


def write_worn(folder: Path, name: str) -> None:
    """A square before the forehead, tied to three vertices of the eyes' corners."""
    square = ((-0.2, 0.2), (0.2, 0.2), (0.2, 0.5), (-0.2, 0.5))
    lines = [f"v {x} {y} 0" for x, y in square] + ["vt 0 0", "vt 1 0", "vt 1 1", "vt 0 1", "f 1/1 2/2 3/3 4/4"]
    write(folder / f"{name}.obj", "\n".join(lines))
    left, right = figure.OUTER_EYES
    tied = [f"{left} {right} {right} 0.5 0.25 0.25 {x} {y} 0.3" for x, y in square]
    scales = [
        f"{axis}_scale {left} {figure.NOSE_TIP} {size}" for axis, size in zip("xyz", (0.45, 0.34, 0.33), strict=True)
    ]
    write(folder / f"{name}.mhclo", "\n".join([f"name {name}", *scales, "verts 0", "", *tied, "material x.mhmat"]))
