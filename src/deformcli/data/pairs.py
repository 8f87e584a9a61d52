"""Turned faces and the same faces from the front, of any sources, as items for training and testing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from deformcli.errors import UsageError

from .augment import degrade, occlude, relight
from .sources import Mixture, Pair, Source, number_of


class FacePairs(Dataset):
    """Items of sources that have pairs, each a dict of

    - "image", "target" (3, S, S) in [-1, 1]: the turned view and the frontal one;
    - "exact", 1 if the exact flow is known, else 0; then "flow" (2, S, S) and "seen" (1, S, S) are 0 throughout, or
      those of a sparse flow, between landmarks, which says nothing of what is not "seen";
    - "face" (1, S, S), 0 on the target's background where that is known;
    - "target_known" (1, S, S), 0 where the target itself is unknown: everywhere, if there is no frontal picture;
    - "yaw" in degrees;
    - "person", a number for who it is;
    - "item", its own number.

    Item i is a function of (seed, i) alone. The training split leaves out yaws beyond `max_yaw`, and flips,
    lights and degrades; others are every pair as it is. What cannot be read raises UsageError there; in training the
    next is taken.
    """

    def __init__(
        self, sources: Sequence[Source], size: int, split: str, seed: int, length: int = 0, max_yaw: float = 90.0
    ) -> None:
        pairs = [source.data for source in sources]
        if split == "train":
            for source, part in zip(sources, pairs, strict=True):
                part.limit_yaw(max_yaw)
                if not len(part):
                    cause = f"--data {source.spec}: nothing is turned by {max_yaw:g} degrees or less"
                    raise UsageError(cause, "allow more: --set max_yaw=90")
        self.pairs = Mixture(sources, pairs)
        self.size, self.train, self.seed = size, split == "train", seed
        self.length = length or len(self.pairs)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        rng = np.random.default_rng((self.seed, index)) if self.train else None
        part, number = self.pairs.draw(rng) if rng else self.pairs.place(index)
        pairs = self.pairs.parts[part]

        def read(at: int) -> tuple[Pair, str]:
            return pairs.pair(at, self.size, rng), pairs.identity(at)

        pair, who = self.pairs.read(part, number, read) if rng else read(number)
        if rng:
            pair = _varied(pair, rng)
        return {**_item(pair), "person": torch.tensor(number_of(who)), "item": torch.tensor(index)}

    def labels(self, index: int) -> Mapping[str, str]:
        """What the data say of an item of the test split, see `Pairs.labels`."""
        part, number = self.pairs.place(index)
        return self.pairs.parts[part].labels(number)


def _varied(pair: Pair, rng: np.random.Generator) -> Pair:
    if rng.random() < 0.5:
        pair = flip(pair)
    pair = relight(pair, rng)
    if rng.random() < 0.15:
        pair = occlude(pair, rng)
    return pair._replace(image=degrade(pair.image, rng))


def flip(pair: Pair) -> Pair:
    """The mirror image of a pair."""
    image, target, flow, seen, face, known, yaw, sparse = pair
    if flow is not None:
        flow = flow.flip(-1) * flow.new_tensor([-1.0, 1.0]).view(2, 1, 1)
    image, target, seen, face, known = (x if x is None else x.flip(-1) for x in (image, target, seen, face, known))
    return Pair(image, target, flow, seen, face, known, -yaw, sparse)


def _item(pair: Pair) -> dict[str, Tensor]:
    """With what may be missing filled in, so that items of all sources go into one batch."""
    height, width = pair.target.shape[1:]
    ones = torch.ones(1, height, width)
    return {
        "image": pair.image,
        "target": pair.target,
        "exact": torch.tensor(float(pair.flow is not None and not pair.sparse)),
        "flow": torch.zeros(2, height, width) if pair.flow is None else pair.flow,
        "seen": 0 * ones if pair.flow is None else pair.seen,
        "face": ones if pair.face is None else pair.face,
        "target_known": ones if pair.known is None else pair.known,
        "yaw": torch.tensor(float(pair.yaw)),
    }
