"""Any folder of pictures, as square crops with random holes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from deformcli.errors import UsageError

from .masks import stroke_known
from .splits import is_held_out

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")


def image_files(root: Path, split: str) -> list[Path]:
    """All pictures below `root` of a split ("train", "test"), sorted, but hidden ones. Raises UsageError if none is."""
    if not root.is_dir():
        raise UsageError(f"{root}: no such data folder", "name a folder of pictures, as in --data folder:PATH")
    pictures = (path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    found = sorted(path for path in pictures if not path.name.startswith("."))
    kept = [path for path in found if is_held_out(path) == (split == "test")]
    if not kept:
        raise UsageError(f"{root}: no picture for the {split} split", f"put {', '.join(SUFFIXES)} files there")
    return kept


def read_rgb(path: Path) -> np.ndarray:
    """Decode a picture as upright RGB uint8 (H, W, 3). Raises UsageError naming the file."""
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", "repair it or remove it from the data") from error
    picture = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if picture is None:
        raise UsageError(f"{path}: not a picture that can be decoded", "repair it or remove it from the data")
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


class MaskedFolder(Dataset):
    """Square crops with random stroke holes: {"image" (3, S, S) in [-1, 1], "known" (1, S, S), "kind"}.

    Item i is a function of (seed, i) alone. The training split takes random crops and flips; the test split the
    largest centred square, with the mask kinds in turn.
    """

    def __init__(self, roots: Sequence[Path], size: int, kinds: Sequence[str], split: str, seed: int, length: int = 0):
        self.files = [path for root in roots for path in image_files(root, split)]
        self.size, self.kinds, self.split, self.seed = size, tuple(kinds), split, seed
        self.length = length or len(self.files) * len(self.kinds)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        rng = np.random.default_rng((self.seed, index))
        train = self.split == "train"
        pick = int(rng.integers(len(self.files))) if train else index // len(self.kinds)
        kind = self.kinds[int(rng.integers(len(self.kinds))) if train else index % len(self.kinds)]
        picture = read_rgb(self.files[pick])
        picture = _random_square(picture, self.size, rng) if train else _centre_square(picture, self.size)
        known = stroke_known(rng, self.size, kind)
        return {
            "image": torch.from_numpy(picture).permute(2, 0, 1).float() / 127.5 - 1,
            "known": torch.from_numpy(known)[None].float(),
            "kind": torch.tensor(self.kinds.index(kind)),
        }


def _centre_square(picture: np.ndarray, size: int) -> np.ndarray:
    h, w = picture.shape[:2]
    side = min(h, w)
    top, left = (h - side) // 2, (w - side) // 2
    square = picture[top : top + side, left : left + side]
    return cv2.resize(square, (size, size), interpolation=cv2.INTER_AREA)


def _random_square(picture: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    h, w = picture.shape[:2]
    side = round(min(h, w) * rng.uniform(max(0.5, min(1.0, size / min(h, w))), 1.0))
    top, left = int(rng.integers(h - side + 1)), int(rng.integers(w - side + 1))
    square = cv2.resize(picture[top : top + side, left : left + side], (size, size), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(square[:, ::-1] if rng.random() < 0.5 else square)
