"""From a network's id or path to a verified local file: bundled with a package, or from the Hub by way of the cache."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import math
import os
import struct
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import platformdirs

from .errors import WeightsError, one_line
from .files import write_atomic
from .manifest import WeightsEntry, find_entry, manifest, read_manifest

__all__ = [
    "WeightsEntry",
    "cache_dir",
    "find_entry",
    "local_file",
    "manifest",
    "parameter_counts",
    "read_manifest",
    "resolve_weights",
    "verified_file",
]
PICKLES = frozenset({".pt", ".pth", ".ckpt", ".bin", ".pkl", ".pickle", ".tar"})
_STATISTICS = frozenset({"running_mean", "running_var", "num_batches_tracked"})


def cache_dir() -> Path:
    """Where downloads and stamps go: DEFORM_CACHE_DIR, or the user's cache folder."""
    return Path(os.environ.get("DEFORM_CACHE_DIR") or platformdirs.user_cache_path("deform"))


def resolve_weights(id_or_path: str | Path, *, task: str | None = None, offline: bool = False) -> Path:
    """A local file of weights: for an id the verified file, downloaded where needed; for a path that very file.

    Args:
        id_or_path: an id of the manifest, or the path of a .safetensors file.
        task: the task that an id must be for; None for any.
        offline: do not use the network, as HF_HUB_OFFLINE=1 does; HF_ENDPOINT names another Hub.

    Raises:
        WeightsError: unknown id, other task, not available, wrong checksum, or not a safetensors file.
    """
    path = Path(id_or_path)
    if path.suffix == ".safetensors" or path.suffix in PICKLES or path.is_file():
        return _user_file(path)
    entry = find_entry(str(id_or_path))
    if task is not None and entry.task != task:
        known = ", ".join(sorted(other.id for other in manifest().values() if other.task == task))
        raise WeightsError(f"the weights {entry.id} are for {entry.task}, not for {task}", f"known: {known or 'none'}")
    return verified_file(entry, offline=offline)


def verified_file(entry: WeightsEntry, *, offline: bool = False, again: bool = False) -> Path:
    """The entry's local file, its checksum compared once and then stamped (`again`: compared anew).

    Raises:
        WeightsError: not available, or another checksum; a wrong download moves to the cache's quarantine folder.
    """
    path = local_file(entry)
    if path is None and entry.source == "hub":
        path = _download(entry, offline)
    if path is None:
        remedy = entry.obtain or "reinstall the package that carries it"
        raise WeightsError(f"the file of the weights {entry.id} is not on this machine", remedy)
    if again or not _is_stamped(entry, path):
        _check_sha256(entry, path)
    return path


def local_file(entry: WeightsEntry) -> Path | None:
    """The entry's file where it is on this machine, not verified; uses no network."""
    path = None
    if entry.source == "bundled":
        path = _bundle_folder(entry) / entry.path
    elif entry.source == "hub" and _hub_folder().is_dir():
        import huggingface_hub

        found = huggingface_hub.try_to_load_from_cache(
            entry.repo, entry.file, cache_dir=_hub_folder(), revision=entry.revision
        )
        path = Path(found) if isinstance(found, str) else None
    return path if path is not None and path.is_file() else None


def parameter_counts(path: Path) -> dict[str, int]:
    """Learned numbers per network (the first word of the tensors' names), from the file's header alone.

    Raises:
        WeightsError: not a safetensors file.
    """
    counts: dict[str, int] = {}
    for name, tensor in _header(path).items():
        network, _, rest = name.partition(".")
        if name != "__metadata__" and rest.rpartition(".")[2] not in _STATISTICS:
            counts[network] = counts.get(network, 0) + math.prod(tensor["shape"])
    return counts


def _bundle_folder(entry: WeightsEntry) -> Path:
    if not entry.package:
        return entry.manifest.parent
    spec = importlib.util.find_spec(entry.package)  # finds a top-level package without running it
    if spec is None or not spec.submodule_search_locations:
        raise WeightsError(f"the weights {entry.id} are in {entry.package}, which is not installed", "install it")
    return Path(next(iter(spec.submodule_search_locations)))


def _user_file(path: Path) -> Path:
    if path.suffix in PICKLES:
        raise WeightsError(f"{path}: opening a {path.suffix} file (pickle) can run code", "export it as .safetensors")
    if not path.is_file():
        raise WeightsError(f"no such file of weights: {path}", "check the path; `deform weights list` shows the ids")
    if path.suffix != ".safetensors":
        raise WeightsError(f"{path} is no .safetensors file", "give an id or a .safetensors file")
    _header(path)
    return path


def _header(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > path.stat().st_size:
                raise ValueError("the header is longer than the file")
            header = json.loads(file.read(length))
        if not isinstance(header, dict):
            raise ValueError("the header is no table")
    except (OSError, ValueError, struct.error) as error:
        raise WeightsError(f"{path} is not a safetensors file: {one_line(error)}", "export it anew") from error
    return header


def _hub_folder() -> Path:
    return cache_dir() / "hub"


def _download(entry: WeightsEntry, offline: bool) -> Path:
    import huggingface_hub
    from huggingface_hub import constants, utils

    what = f"the weights {entry.id} ({entry.repo}, {entry.file})"
    if offline or constants.HF_HUB_OFFLINE:
        # Not left to the client's local_files_only: some versions of it talk to the Hub even then.
        raise WeightsError(f"{what} are not on this machine", "run it once without --offline and HF_HUB_OFFLINE")
    if not sys.stderr.isatty():
        utils.disable_progress_bars()
    try:
        path = huggingface_hub.hf_hub_download(entry.repo, entry.file, revision=entry.revision, cache_dir=_hub_folder())
    except Exception as error:  # the client lets errors of several libraries through; each means "not available"
        remedy = "check the network and HF_ENDPOINT, then run it again"
        raise WeightsError(f"{what} cannot be downloaded: {one_line(error)}", remedy) from error
    return Path(path)


def _check_sha256(entry: WeightsEntry, path: Path) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found == entry.sha256:
        with suppress(OSError):  # a cache that cannot be written costs another hash next time, no more
            write_atomic(_stamp(entry), json.dumps(_identity(path)).encode())
        return
    remedy = "reinstall the package that carries it"
    if entry.source == "hub":
        remedy = f"the file is now {_quarantine(entry, path)}; run it again to download it anew"
    raise WeightsError(f"{path} ({entry.id}) has the sha256 {found[:12]}..., not {entry.sha256[:12]}...", remedy)


def _quarantine(entry: WeightsEntry, path: Path) -> Path:
    target = cache_dir() / "quarantine" / f"{entry.id}.safetensors"
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(path.resolve(), target)  # in the Hub's cache `path` is a link to a blob
    path.unlink(missing_ok=True)
    return target


def _stamp(entry: WeightsEntry) -> Path:
    return cache_dir() / "verified" / f"{entry.sha256}.json"


def _identity(path: Path) -> dict[str, Any]:
    state = path.stat()
    return {"path": str(path.resolve()), "size": state.st_size, "mtime_ns": state.st_mtime_ns}


def _is_stamped(entry: WeightsEntry, path: Path) -> bool:
    try:
        return json.loads(_stamp(entry).read_text("utf-8")) == _identity(path)
    except (OSError, ValueError):
        return False
