"""`--data KIND:ROOT`, taken apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

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
