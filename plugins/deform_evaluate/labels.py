"""What `--by` names: labels of items, as the tables beside the pictures have them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from deformcli.errors import UsageError
from deformcli.evaluation import Label


def find_labels(items: Any, by: str) -> Mapping[str, Label]:
    """The labels named, each once. Raises UsageError for one that no item has."""
    names = list(dict.fromkeys(name.strip() for name in by.split(",") if name.strip()))
    known = {name: None for index in range(len(items) if names else 0) for name in _labels(items, index)}
    for name in names:
        if name not in known:
            remedy = (
                f"labels are: {', '.join(known)}" if known else "see docs/evaluation.md for the table they come from"
            )
            raise UsageError(f"--by {name}: no picture has such a label", remedy)
    return {name: partial(_label, items, name) for name in names}


def _label(items: Any, name: str, index: int) -> str:
    return _labels(items, index).get(name, "")


def _labels(items: Any, index: int) -> Mapping[str, str]:
    return items.labels(index) if hasattr(items, "labels") else {}  # the items of other plugins may have none
