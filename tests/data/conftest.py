"""Picture files made on the spot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from deformcli.data.splits import split_of


@pytest.fixture
def make_picture() -> Callable[..., np.ndarray]:
    """`make_picture(path, height, width, seed)` writes a picture of smooth colours and returns its RGB pixels."""

    def make(path: Path, height: int = 40, width: int = 56, seed: int = 0) -> np.ndarray:
        coarse = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
        picture = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), picture[..., ::-1])
        return picture

    return make


@pytest.fixture
def names() -> dict[str, list[str]]:
    """Names of files of two splits: {"train": [...], "test": [...]}, 4 each."""
    every = [f"{letter}{number}.png" for letter in "abc" for number in range(100)]
    sides = {split: [name for name in every if split_of(name) == split] for split in ("train", "test")}
    return {split: sorted(found[:4]) for split, found in sides.items()}
