"""`deform doctor`: one look at what could be wrong with an installation."""

from __future__ import annotations

import os
import platform
import shutil
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from deformcli import __version__, registry, runtime, weights
from deformcli.errors import DeformError, one_line
from deformcli.options import Device, Json

from . import show

PACKAGES = ("torch", "torchvision", "numpy", "pillow", "opencv-python", "facenet-pytorch", "typer", "huggingface-hub")
SECONDS = 2.0
LEAST_FREE = 100e6  # bytes on the cache's disk
Check = tuple[str, bool, str]


def doctor(device: Device = "auto", as_json: Json = False) -> None:
    """Check versions, devices, the warp, cache, weights and plugins, and warp for 2 seconds; exit 1 where one fails."""
    checks = [*_versions(), *_devices(), *_warp(device), *_cache(), *_weights(), *_plugins()]
    data = [{"what": what, "ok": ok, "detail": detail} for what, ok, detail in checks]
    show(data, (f"{'ok ' if ok else 'BAD'} {what:<22} {detail}" for what, ok, detail in checks), as_json)
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


def _warp(name: str) -> Iterator[Check]:
    from deformcli.warp import forward

    try:
        device = runtime.choose_device(name)
    except DeformError as error:
        yield "self-test", False, error.cause
        return
    for implementation in forward.IMPLEMENTATIONS:
        yield f"warp: {implementation}", *_try_implementation(implementation, device)
    yield f"self-test on {device}", *_self_test(device)


def _try_implementation(implementation: str, device: Any) -> tuple[bool, str]:
    import torch

    from deformcli.warp import forward

    try:
        zeros = torch.zeros(1, 2, 2, 2, device=device)
        forward.forward_warp(zeros, zeros, impl=implementation)
    except Exception as error:  # whichever way it fails: the reference serves instead
        return implementation != "reference", f"does not serve {device}: {one_line(error)}"
    best = forward._implementation("", device) is forward.IMPLEMENTATIONS[implementation]
    return True, f"works on {device}" + ", and is what runs there" * best


def _self_test(device: Any) -> tuple[bool, str]:
    """Warp faces' sizes for two seconds; the result has to be the reference's."""
    import torch

    from deformcli.warp import forward_warp

    generator = torch.Generator().manual_seed(0)
    image = (torch.rand(8, 3, 128, 128, generator=generator) * 2 - 1).to(device)
    flow = (torch.randn(8, 2, 128, 128, generator=generator) * 4).to(device)
    warped, _ = forward_warp(image, flow)
    expected, _ = forward_warp(image, flow, impl="reference")
    error = float((warped - expected).abs().max())
    rounds, start = 0, time.perf_counter()
    while time.perf_counter() - start < SECONDS:
        forward_warp(image, flow)[0].sum().item()  # item: waits for the device
        rounds += 1
    speed = rounds * len(image) / (time.perf_counter() - start)
    return error < 1e-3, f"{speed:,.0f} images of 128 x 128 a second; differs from the reference by {error:.0e} at most"


def _cache() -> Iterator[Check]:
    folder = runtime.cache_dir()
    size = sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir()) if folder.is_dir() else 0
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.is_dir())
    free = shutil.disk_usage(existing).free
    writable = "" if os.access(existing, os.W_OK) else ", cannot be written"
    yield "cache", free > LEAST_FREE, f"{folder}: {size / 1e6:.1f} MB, {free / 1e9:.1f} GB free{writable}"


def _weights() -> Iterator[Check]:
    try:
        entries = weights.all_weights()
    except DeformError as error:
        yield "weights", False, error.cause
        return
    for entry in entries.values():
        here = weights.local_file(entry)
        # Only what is bundled has to be here; the rest comes when it is asked for.
        yield f"weights: {entry.id}", bool(here) or entry.source != "bundled", str(here or f"{entry.source}, not here")


def _plugins() -> Iterator[Check]:
    plugins = registry.plugins()
    for name, checks in plugins.offers("doctor"):
        yield from ((f"{name}: {what}", ok, detail) for what, ok, detail in checks)
    for record in plugins.records:
        ok = record.status in ("loaded", "disabled")
        yield f"plugin: {record.name}", ok, record.error or f"{record.status} ({record.distribution} {record.version})"
