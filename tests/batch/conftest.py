"""Jobs that need no network, and folders of small pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deformcli.batch import Done, Job, Work, run
from deformcli.options import BatchOptions


@dataclass
class Negative(Job):
    """Inverts pictures; what `results` says of a file name is its result instead, or raised."""

    results: dict[str, object] = field(default_factory=dict)
    same_size: bool = True
    batches: list[list[str]] = field(default_factory=list)
    loaded: int = 0

    def load(self) -> None:
        self.loaded += 1

    def __call__(self, works: Sequence[Work]) -> list[object]:
        self.batches.append([work.item.source.name for work in works])
        return [self._one(work) for work in works]

    def _one(self, work: Work) -> object:
        result = self.results.get(work.item.source.name)
        if callable(result):
            return result(work)
        if isinstance(result, BaseException):
            raise result
        return Done.with_picture(work.picture.replaced(255 - work.picture.rgb))


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Callable[..., Path]:
    """`folder("a.png", "b.jpg", size=(6, 4))` writes small pictures into `in`; the working folder is theirs."""
    monkeypatch.chdir(tmp_path)

    def make(*names: str, size: tuple[int, int] = (6, 4)) -> Path:
        for number, name in enumerate(names):
            path = tmp_path / "in" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), np.uint8)
            Image.fromarray(pixels).save(path)
        return tmp_path

    return make


@pytest.fixture
def batch() -> Callable[..., object]:
    """`batch(job, exists="rename")` runs `in` -> `out`."""

    def make(job: Job, inputs: Sequence[str] = ("in",), output: str = "out", **options: object):
        return run(BatchOptions(inputs=list(inputs), output=output, **options), job)

    return make


@pytest.fixture
def negative() -> type[Negative]:
    return Negative
