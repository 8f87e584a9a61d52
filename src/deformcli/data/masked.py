"""Pictures with holes, to be filled: square crops of any pictures under masks of several kinds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from deformcli.images import to_tensor

from .masks import open_masks
from .sources import Mixture, Pairs, Source, number_of


class MaskedPictures(Dataset):
    """Square crops with random holes: a dict of

    - "image" (3, S, S) in [-1, 1];
    - "known" (1, S, S), 0 in the holes;
    - "target_known" (1, S, S), 0 where the picture itself is unknown, being transparent: a hole too, but never a loss;
    - "person", a number for who is in it, or for the picture itself;
    - "kind", the mask's kind, by its place in `mask_names(masks)`;
    - "item", its own number.

    Item i is a function of (seed, i) alone. The training split takes random crops and flips; others the largest centred
    square, with the mask kinds in turn. What cannot be read raises UsageError there; in training the next is taken.
    """

    def __init__(
        self, sources: Sequence[Source], size: int, masks: Sequence[str], split: str, seed: int, length: int = 0
    ) -> None:
        pictures = [source.data.pictures if isinstance(source.data, Pairs) else source.data for source in sources]
        self.pictures = Mixture(sources, pictures)
        self.masks = open_masks(masks, split)
        self.size, self.train, self.seed = size, split == "train", seed
        self.length = length or len(self.pictures) * len(self.masks)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        rng = np.random.default_rng((self.seed, index))
        if self.train:
            (part, number), kind = self.pictures.draw(rng), int(rng.integers(len(self.masks)))
        else:
            (part, number), kind = self.pictures.place(index // len(self.masks)), index % len(self.masks)
        pictures = self.pictures.parts[part]

        def read(at: int) -> tuple[np.ndarray, str]:
            return pictures.read(at), pictures.identity(at) or pictures.name(at)

        picture, who = self.pictures.read(part, number, read) if self.train else read(number)
        picture = _random_square(picture, self.size, rng) if self.train else centre_square(picture, self.size)
        known, target_known = self.masks[kind].draw(rng, self.size), known_pixels(picture)
        return {
            "image": to_tensor(picture[..., :3])[0],
            "known": torch.from_numpy(known)[None] * target_known,
            "target_known": target_known,
            "kind": torch.tensor(kind),
            "item": torch.tensor(index),
            "person": torch.tensor(number_of(who)),
        }

    def labels(self, index: int) -> Mapping[str, str]:
        """What the data say of an item of the test split, see `Pictures.labels`."""
        part, number = self.pictures.place(index // len(self.masks))
        return self.pictures.parts[part].labels(number)


def known_pixels(picture: np.ndarray) -> Tensor:
    """(1, H, W): 0 where a picture (H, W, 3 or 4) is transparent, be it in part, and 1 elsewhere."""
    if picture.shape[2] == 3:
        return torch.ones(1, *picture.shape[:2])
    return torch.from_numpy(picture[..., 3] == 255)[None].float()


def centre_square(picture: np.ndarray, size: int) -> np.ndarray:
    """The largest centred square of a picture (H, W, C), resized to (size, size, C)."""
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
