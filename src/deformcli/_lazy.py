"""Names of a package that are imported when they are used, so that importing the package costs nothing."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any


def attach(package: str, **modules: Sequence[str]) -> tuple[Callable[[str], Any], list[str]]:
    """`__getattr__` and `__all__` (PEP 562) of a package whose public names lie in modules: module=(name, ...)."""
    places = {name: module for module, names in modules.items() for name in names}

    def get(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{package}.{places[name]}"), name)

    return get, sorted(places)
