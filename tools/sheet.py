"""A row per person of sets that deform synthesize made, a view for each angle: python tools/sheet.py SET... OUT"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from deformcli.data.rendered import RenderedPairs
from deformcli.images import to_uint8, write_image

PEOPLE, SIDE = 4, 96  # of each set; pixels of a view


def rows(folder: str) -> list[np.ndarray]:
    """The first people's views by angle, and at the right what they are from the front."""
    data, people = RenderedPairs(folder, ""), {}
    for index in range(len(data)):
        people.setdefault(data.identity(index), []).append(index)
    return [_row([data.pair(index, SIDE, None) for index in views]) for views in list(people.values())[:PEOPLE]]


def _row(pairs: list) -> np.ndarray:
    ordered = sorted(pairs, key=lambda pair: pair.yaw)
    return np.concatenate([to_uint8(picture) for picture in (*(pair.image for pair in ordered), ordered[0].target)], 1)


if __name__ == "__main__":
    *folders, out = sys.argv[1:]
    write_image(np.concatenate([row for folder in folders for row in rows(folder)]), Path(out), quality=85)
