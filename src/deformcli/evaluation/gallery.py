"""More people for Rank-1 to choose among: the fewer there are, the easier it is to be the nearest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor

from deformcli.data.sources import Pairs
from deformcli.data.spec import open_source
from deformcli.errors import UsageError


def training_people(specs: Sequence[str], size: int) -> Iterator[Tensor]:
    """A true frontal picture (3, S, S) in [-1, 1] of each person in the training splits of what `specs` name.

    Raises:
        UsageError: see `open_source`; data without pairs.
    """
    for spec in specs:
        data = open_source(spec, "train").data
        if not isinstance(data, Pairs):
            raise UsageError(f"--gallery {spec}: has no frontal pictures", "name pairs, such as london:ROOT")
        first: dict[str, int] = {}
        for index in range(len(data)):
            first.setdefault(data.identity(index), index)
        yield from (data.pair(index, size, None).target for index in first.values())
