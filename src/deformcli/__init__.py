"""The public API, of plugins' authors and of Python programs: what `__all__` names, and the functions of the plugins.

`deformcli.frontalize(image)` is a function that a plugin offers, found when it is asked for. Importing deformcli
imports no torch.
"""

import importlib
from importlib.util import find_spec
from typing import Any

import pluggy

from ._version import __version__

hookimpl = pluggy.HookimplMarker("deformcli")
"""Marks the functions of a plugin that are hooks, see `deformcli.hookspecs`."""

__all__ = [
    "__version__",
    "batch",
    "data",
    "errors",
    "evaluation",
    "faces",
    "hookimpl",
    "images",
    "losses",
    "metrics",
    "models",
    "options",
    "pages",
    "recipes",
    "registry",
    "runs",
    "runtime",
    "training",
    "warp",
    "weights",
]


def __getattr__(name: str) -> Any:
    if not name.startswith("_"):
        if find_spec(f"{__name__}.{name}"):
            return importlib.import_module(f"{__name__}.{name}")
        from .registry import functions, resolve

        if spec := functions().get(name):
            return resolve(spec)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}, and no plugin that is loaded offers it")


def __dir__() -> list[str]:
    from .registry import functions

    return sorted([*__all__, *functions()])
