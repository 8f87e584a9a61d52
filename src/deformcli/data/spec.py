"""`--data KIND:ROOT`, taken apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deformcli import registry
from deformcli.errors import UsageError


def parse_sources(specs: Sequence[str]) -> list[tuple[str, Path]]:
    """ "folder:PATH" -> ("folder", PATH); a bare existing folder counts as `folder:`. Raises UsageError otherwise."""
    sources = []
    for spec in specs:
        kind, separator, root = spec.partition(":")
        if spec and not separator and Path(spec).is_dir():
            kind, root = "folder", spec
        elif not separator or not root:
            raise UsageError(f"--data {spec}: expected KIND:PATH", "write for example --data folder:photos")
        sources.append((kind, Path(root)))
    return sources


def open_items(recipe: Any, specs: Sequence[str], split: str, length: int = 0) -> Any:
    """Items of a split, read by the recipe, or by the plugin that brings the kind of data.

    Args:
        recipe: a `deformcli.engine.recipe.Recipe`.
        specs: what `--data` said.
        split: "train" or "test".
        length: how many items a training split is to have; 0 for as many as there are.

    Raises:
        UsageError: a spec that is none, or a plugin's data beside other data.
    """
    sources, kinds = parse_sources(specs), registry.datasets()
    if not any(kind in kinds for kind, _ in sources):
        return recipe.dataset(sources, split, length)
    if len(sources) > 1:
        raise UsageError("--data: a plugin's data set comes alone", "name it once, and nothing else")
    ((kind, root),) = sources
    items = registry.choose("data set", kind, kinds)(root, split, recipe.config.training)
    return _Cycled(items, length) if length else items


class _Cycled:
    """`length` items: those of `items` over and over."""

    def __init__(self, items: Any, length: int) -> None:
        self.items, self.length = items, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Any:
        return self.items[index % len(self.items)]
