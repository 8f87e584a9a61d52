"""Networks of others that loss terms judge by: files that the config names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from deformcli.errors import UsageError
from deformcli.weights.networks import load_frozen


def helper_network(
    config: Any, field: str, terms: Sequence[str], build: Callable[[], nn.Module], notes: list[str]
) -> nn.Module | None:
    """The frozen network of the file that `config`'s `field` names, if one of the loss `terms` has a weight.

    Terms without their file are left out, which `notes` is told.

    Raises:
        UsageError: a file, but no term that has a weight.
        WeightsError: the file is missing, or of another network.
    """
    path, weighted = getattr(config, field), [f"losses.{term}" for term in terms if getattr(config.losses, term)]
    if path and not weighted:
        cause = f"{field}={path}: nothing uses it, {' and '.join(f'losses.{term}' for term in terms)} being 0"
        raise UsageError(cause, f"give a weight, as in --set losses.{terms[0]}=0.1, or leave it out: --set {field}=")
    if weighted and not path:
        notes.append(f"{' and '.join(weighted)} left out, for want of a network: --set {field}=FILE")
        return None
    return load_frozen(build(), Path(path)) if path else None
