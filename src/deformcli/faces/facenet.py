"""Networks of the package facenet-pytorch, whose __init__ imports an HTTP client, a trainer and more."""

from __future__ import annotations

import importlib.util
import sys
from typing import Any


def network(module: str, name: str) -> Any:
    """A class of `facenet_pytorch.models`, the package's own __init__ not run."""
    package = "facenet_pytorch"
    spec = importlib.util.find_spec(package)
    if spec is None or package in sys.modules:
        return getattr(importlib.import_module(f"{package}.models.{module}"), name)
    sys.modules[package] = importlib.util.module_from_spec(spec)  # bare: enough to find the modules in it
    try:
        return getattr(importlib.import_module(f"{package}.models.{module}"), name)
    finally:
        for imported in [key for key in sys.modules if key.partition(".")[0] == package]:
            del sys.modules[imported]  # whoever imports the package gets it whole
