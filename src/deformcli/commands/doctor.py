"""`deform doctor`: one look at what could be wrong with an installation."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

import typer

from .. import __version__, registry
from ..errors import DeformError, one_line
from ..options import Json
from .weights import find_file

PACKAGES = ("torch", "torchvision", "numpy", "pillow", "opencv-python", "facenet-pytorch", "typer", "huggingface-hub")
Check = tuple[str, bool, str]


def doctor(as_json: Json = False) -> None:
    """Check versions, devices, the warp's implementations, weights and plugins; exit 1 where one is not well."""
    checks = [*_versions(), *_devices(), *_warp(), *_weights(), *_plugins()]
    if as_json:
        keys = ("what", "ok", "detail")
        typer.echo(json.dumps([dict(zip(keys, check, strict=True)) for check in checks], indent=2))
    else:
        typer.echo("".join(f"{'ok ' if ok else 'BAD'} {what:<22} {detail}\n" for what, ok, detail in checks), nl=False)
    if bad := [what for what, ok, _ in checks if not ok]:
        raise DeformError(f"not well: {', '.join(bad)}", "the lines marked BAD say why")


def _versions() -> Iterator[Check]:
    yield "deform", True, f"{__version__} on Python {platform.python_version()}, {platform.platform()}"
    for package in PACKAGES:
        try:
            yield package, True, version(package)
        except PackageNotFoundError:
            yield package, False, "not installed"


def _devices() -> Iterator[Check]:
    import torch

    yield "cpu", True, f"{torch.get_num_threads()} threads"
    for index in range(torch.cuda.device_count()):
        yield f"cuda:{index}", True, torch.cuda.get_device_name(index)
    if torch.backends.mps.is_available():
        yield "mps", True, "available"


def _warp() -> Iterator[Check]:
    import torch

    from ..warp import forward

    for implementation in forward.IMPLEMENTATIONS:
        try:
            forward.forward_warp(torch.zeros(1, 1, 2, 2), torch.zeros(1, 2, 2, 2), impl=implementation)
            yield f"warp: {implementation}", True, "works on the CPU"
        except Exception as error:  # whichever way it fails: the reference serves instead
            yield f"warp: {implementation}", implementation != "reference", f"does not serve the CPU: {one_line(error)}"


def _weights() -> Iterator[Check]:
    from ..weights import manifest

    try:
        entries = manifest()
    except DeformError as error:
        yield "weights", False, error.cause
        return
    for entry in entries.values():
        here = find_file(entry)
        # Only what is bundled has to be here; the rest comes when it is asked for.
        yield f"weights: {entry.id}", bool(here) or entry.source != "bundled", str(here or f"{entry.source}, not here")


def _plugins() -> Iterator[Check]:
    plugins = registry.plugins()
    for name, checks in plugins.offers("doctor"):
        yield from ((f"{name}: {what}", ok, detail) for what, ok, detail in checks)
    for record in plugins.records:
        ok = record.status in ("loaded", "disabled")
        yield f"plugin: {record.name}", ok, record.error or f"{record.status} ({record.distribution} {record.version})"
