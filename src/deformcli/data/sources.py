"""What `--data KIND:ROOT` opens: the pictures of a split, or pairs of turned and frontal faces; and several as one."""

from __future__ import annotations

import hashlib
import multiprocessing
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import typer
from torch import Tensor

from deformcli.errors import DeformError, UsageError

from .loading import failure

MOST_SKIPPED = 20  # unreadable pictures in a row, after which the data are given up
Item = TypeVar("Item")


class Pictures(ABC):
    """The pictures of one split of a data set, by number."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def read(self, index: int) -> np.ndarray:
        """Upright RGB (H, W, 3) uint8, or RGBA (H, W, 4) if parts are transparent, which means unknown.

        Raises UsageError naming the picture if it cannot be decoded.
        """

    @abstractmethod
    def name(self, index: int) -> str:
        """What messages call it: its path."""

    def identity(self, index: int) -> str:
        """The person or garment in it, the same name for all its pictures; "" where the data set does not say."""
        return ""

    def labels(self, index: int) -> Mapping[str, str]:
        """What is known of it besides, by the names that the data set has for that: age, light, ..."""
        return {}


class Pair(NamedTuple):
    """A turned face and the same face from the front, S pixels wide."""

    image: Tensor  # (3, S, S) in [-1, 1]
    target: Tensor  # (3, S, S) in [-1, 1]; without a frontal picture grey, and `known` is 0 throughout
    flow: Tensor | None = None  # (2, S, S) exact forward flow from image to target, if there is one
    seen: Tensor | None = None  # (1, S, S) 1 where that flow is exact, 0 where the target does not show the pixel
    face: Tensor | None = None  # (1, S, S) in the target: 1 on the head, 0 on the background; None: unknown
    known: Tensor | None = None  # (1, S, S) the target's known pixels; None: all
    yaw: float = 0.0  # degrees; > 0: the nose points toward image right
    sparse: bool = False  # the flow is known at single pixels alone: what is not `seen` may still be visible


class Pairs(ABC):
    """Pairs of one split of a data set, by number; `pictures` are its pictures without regard to pairs."""

    pictures: Pictures

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def pair(self, index: int, size: int, rng: np.random.Generator | None) -> Pair:
        """A pair of `size` pixels. Without `rng` it is always the same; with it, views may be drawn and jittered.

        Flips and degradations are not its business. Raises UsageError naming the picture if it cannot be decoded.
        """

    def name(self, index: int) -> str:
        """What messages call it: the path of its turned picture."""
        return f"pair {index}"

    def identity(self, index: int) -> str:
        """Who it is; here somebody else in every pair."""
        return str(index)

    def labels(self, index: int) -> Mapping[str, str]:
        """As `Pictures.labels`, of the turned picture."""
        return {}

    @abstractmethod
    def limit_yaw(self, most: float) -> None:
        """Leave out, for training, what is turned by more than `most` degrees either way."""


class Source(NamedTuple):
    """One `--data`, opened."""

    spec: str
    data: Pictures | Pairs
    share: float | None = None  # of the items drawn for training; None: by the number of its pictures or pairs


class Mixture:
    """Several sources as one. What cannot be read gives way to the next of its source, with a warning and a count."""

    def __init__(self, sources: Sequence[Source], parts: Sequence[Pictures] | Sequence[Pairs]) -> None:
        self.parts = parts
        self.ends = np.cumsum([len(part) for part in parts])
        self.chances = _chances([source.share for source in sources], [len(part) for part in parts])
        self.skipped = multiprocessing.Value("q")  # shared with the processes that prepare data
        self.told: set[str] = set()

    def __len__(self) -> int:
        return int(self.ends[-1])

    def draw(self, rng: np.random.Generator) -> tuple[int, int]:
        """A random item: which part, and its number there."""
        part = int(rng.choice(len(self.parts), p=self.chances))
        return part, int(rng.integers(len(self.parts[part])))

    def place(self, index: int) -> tuple[int, int]:
        """The item of this number, counted through: which part, and its number there."""
        part = int(np.searchsorted(self.ends, index, side="right"))
        return part, index - int(self.ends[part]) + len(self.parts[part])

    def read(self, part: int, index: int, read: Callable[[int], Item]) -> Item:
        """What `read` makes of item `index` of a part, or of the first after it that can be read.

        Raises DeformError naming the item if it fails otherwise, UsageError if too many cannot be read.
        """
        count = len(self.parts[part])
        for attempt in range(min(count, MOST_SKIPPED)):
            at = (index + attempt) % count
            try:
                return read(at)
            except UsageError as error:
                unreadable = error
                self._tell(error)
            except Exception as error:
                raise failure(self.parts[part].name(at), error)  # noqa: B904 - it has its cause
        raise unreadable

    def _tell(self, error: DeformError) -> None:
        with self.skipped.get_lock():
            self.skipped.value += 1
        if error.cause not in self.told:
            self.told.add(error.cause)
            typer.echo(f"warning: {error.cause}; the next is taken ({self.skipped.value} skipped so far)", err=True)


def _chances(shares: Sequence[float | None], counts: Sequence[int]) -> np.ndarray:
    """How often each part is drawn: its share, or what the shares leave, by the number of its items."""
    given = sum(share for share in shares if share is not None)
    others = sum(count for share, count in zip(shares, counts, strict=True) if share is None)
    if others and given >= 1:
        raise UsageError(f"--data: shares of {given:g} leave nothing for the others", "let them add up to less than 1")
    rest = (1 - given) / others if others else 0.0
    chances = [share if share is not None else rest * count for share, count in zip(shares, counts, strict=True)]
    return np.array(chances) / sum(chances)


def number_of(name: str) -> int:
    """A number that stands for a name, the same in every process and on every machine."""
    return int.from_bytes(hashlib.sha1(name.encode(), usedforsecurity=False).digest()[:6], "big")
