"""What is in a data set: counts, people, sizes, pictures that cannot be read; and a contact sheet of it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from deformcli.errors import UsageError
from deformcli.images import to_uint8

from .masked import centre_square
from .sources import Pairs, Pictures, Source

SIDE, COLUMNS = 128, 12  # of a contact sheet


@dataclass(frozen=True)
class Summary:
    """One split of a data set."""

    spec: str
    split: str
    pictures: int
    pairs: int | None
    identities: tuple[str, ...]
    sizes: dict[str, int]
    """ "width x height" -> count, the commonest first."""
    unreadable: tuple[str, ...]
    """What is wrong with each picture that cannot be read; it names the picture."""


def summarize(source: Source, split: str, advance: Callable[[], object]) -> Summary:
    """The summary of a source, of which every picture is read; after each, `advance` is called."""
    pictures = pictures_of(source)
    sizes, unreadable = Counter[str](), []

    def read(index: int) -> tuple[str, str]:
        try:
            height, width = pictures.read(index).shape[:2]
        except UsageError as error:
            return "", error.cause
        return f"{width} x {height}", ""

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for size, problem in pool.map(read, range(len(pictures))):
            if problem:
                unreadable.append(problem)
            else:
                sizes[size] += 1
            advance()
    return Summary(
        spec=source.spec,
        split=split,
        pictures=len(pictures),
        pairs=len(source.data) if isinstance(source.data, Pairs) else None,
        identities=tuple(sorted({pictures.identity(index) for index in range(len(pictures))} - {""})),
        sizes=dict(sizes.most_common()),
        unreadable=tuple(unreadable),
    )


def pictures_of(source: Source) -> Pictures:
    return source.data.pictures if isinstance(source.data, Pairs) else source.data


def contact_sheet(sources: list[Source]) -> np.ndarray:
    """Of every source a row of pictures, or of turned faces with their frontal ones below: (H, W, 3) uint8.

    They are spread evenly over the source; one that cannot be read is grey.
    """
    rows = []
    for source in sources:
        if not len(source.data):
            continue
        chosen = np.linspace(0, len(source.data) - 1, min(COLUMNS, len(source.data))).round().astype(int)
        columns = [_column(source.data, int(index)) for index in chosen]
        row = np.concatenate(columns, 1)
        rows.append(np.pad(row, ((0, 4), (0, SIDE * COLUMNS - row.shape[1]), (0, 0)), constant_values=255))
    return np.concatenate(rows)


def _column(data: Pictures | Pairs, index: int) -> np.ndarray:
    try:
        if isinstance(data, Pairs):
            pair = data.pair(index, SIDE, None)
            return np.concatenate([to_uint8(pair.image), to_uint8(pair.target)])
        return centre_square(data.read(index)[..., :3], SIDE)
    except UsageError:
        return np.full((SIDE * (1 + isinstance(data, Pairs)), SIDE, 3), 128, np.uint8)
