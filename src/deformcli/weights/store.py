"""From a network's id or path to a verified local file: the user's, bundled with a package, or from the Hub's cache."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import math
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

from deformcli.errors import WeightsError, one_line
from deformcli.runtime.storage import cache_dir, write_atomic

from .hub import download, hub_file, quarantine
from .manifest import ID, WeightsEntry, all_weights, find_entry, weights_dir

PICKLES = frozenset({".pt", ".pth", ".ckpt", ".bin", ".pkl", ".pickle", ".tar"})
_PICKLE_STARTS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_STATISTICS = frozenset({"running_mean", "running_var", "num_batches_tracked"})


def own_file(entry: WeightsEntry) -> Path:
    """Where the user's own copy of an entry is, if there is one."""
    return weights_dir() / f"{entry.id}.{entry.format}"


def resolve_weights(
    id_or_path: str | Path, *, task: str | None = None, offline: bool = False, format: str = "safetensors"
) -> Path:
    """A local file of weights: for an id the verified file, downloaded where needed; for a path that very file.

    Args:
        id_or_path: an id of the manifest, the path of a file, or ID=PATH for one's own copy of an id.
        task: the task that an id must be for; None for any.
        offline: do not use the network, as HF_HUB_OFFLINE=1 does; HF_ENDPOINT names another Hub.
        format: what a path must end in, safetensors or onnx.

    Raises:
        WeightsError: unknown id, other task, not available, wrong checksum, or not such a file.
    """
    path = Path(id_or_path)
    name, equals, copy = str(id_or_path).partition("=")
    own = bool(equals) and ID.fullmatch(name) is not None and not path.is_file()
    if not own and (path.suffix == f".{format}" or path.suffix in PICKLES or path.is_file()):
        return _user_file(path, format)
    entry = find_entry(name if own else str(id_or_path))
    if task is not None and entry.task != task:
        known = ", ".join(sorted(other.id for other in all_weights().values() if other.task == task))
        raise WeightsError(f"the weights {entry.id} are for {entry.task}, not for {task}", f"known: {known or 'none'}")
    if own:
        return _checked(entry, _user_file(Path(copy), entry.format))
    return verified_file(entry, offline=offline)


def verified_file(entry: WeightsEntry, *, offline: bool = False, again: bool = False) -> Path:
    """The entry's local file, its checksum compared once and then stamped (`again`: compared anew).

    Raises:
        WeightsError: not available, or another checksum; a wrong download moves to the cache's quarantine folder.
    """
    path = local_file(entry)
    if path is None and entry.source == "hub":
        path = download(entry, offline=offline)
    if path is None:
        remedy = "reinstall the package that carries it"
        if entry.source == "external":
            remedy = f"{entry.obtain}; then name it as {entry.id}=FILE, or put it at {own_file(entry)}"
        raise WeightsError(f"the file of the weights {entry.id} is not on this machine", remedy)
    return _checked(entry, path, again)


def local_file(entry: WeightsEntry) -> Path | None:
    """The entry's file where it is on this machine, not verified; uses no network."""
    path = own_file(entry)
    if not path.is_file() and entry.source == "bundled":
        path = _bundle_folder(entry) / entry.path
    elif not path.is_file() and entry.source == "hub":
        path = hub_file(entry)
    return path if path.is_file() else None


def parameter_counts(path: Path) -> dict[str, int]:
    """Learned numbers per network (the first word of the tensors' names), from the file's header alone.

    Raises:
        WeightsError: not a safetensors file.
    """
    counts: dict[str, int] = {}
    for name, tensor in read_header(path).items():
        network, _, rest = name.partition(".")
        if name != "__metadata__" and rest.rpartition(".")[2] not in _STATISTICS:
            counts[network] = counts.get(network, 0) + math.prod(tensor["shape"])
    return counts


def file_sha256(path: Path) -> str:
    """The file's sha256 in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _bundle_folder(entry: WeightsEntry) -> Path:
    if not entry.package:
        return entry.manifest.parent
    spec = importlib.util.find_spec(entry.package)  # finds a top-level package without running it
    if spec is None or not spec.submodule_search_locations:
        raise WeightsError(f"the weights {entry.id} are in {entry.package}, which is not installed", "install it")
    return Path(next(iter(spec.submodule_search_locations)))


def _user_file(path: Path, format: str) -> Path:
    if path.suffix in PICKLES:
        raise _pickle_refused(path)
    if not path.is_file():
        raise WeightsError(f"no such file of weights: {path}", "check the path; `deform weights list` shows the ids")
    if path.suffix != f".{format}":
        raise WeightsError(f"{path} is no .{format} file", f"give an id or a .{format} file")
    if format == "safetensors":
        read_header(path)
    return path


def _pickle_refused(path: Path) -> WeightsError:
    cause = f"{path} is refused: opening a pickle (.pt, .pth, .ckpt, .bin) can run code"
    return WeightsError(cause, f"turn it into tensors and nothing else: deform weights convert {path}")


def read_header(path: Path) -> dict[str, Any]:
    """What a safetensors file says of itself: its tensors by name, and `__metadata__`. Raises WeightsError."""
    try:
        with path.open("rb") as file:
            start = file.read(8)
            if start.startswith(_PICKLE_STARTS):
                raise _pickle_refused(path)
            (length,) = struct.unpack("<Q", start)
            if length > path.stat().st_size:
                raise ValueError("the header is longer than the file")
            header = json.loads(file.read(length))
        if not isinstance(header, dict):
            raise ValueError("the header is no table")
    except (OSError, ValueError, struct.error) as error:
        raise WeightsError(f"{path} is not a safetensors file: {one_line(error)}", "export it anew") from error
    return header


def _checked(entry: WeightsEntry, path: Path, again: bool = False) -> Path:
    """`path`, if it has the entry's checksum; for an entry without one, if it is such a file."""
    if not entry.sha256:
        _user_file(path, entry.format)
    elif again or not _is_stamped(entry, path):
        _check_sha256(entry, path)
    return path


def _check_sha256(entry: WeightsEntry, path: Path) -> None:
    found = file_sha256(path)
    if found == entry.sha256:
        with suppress(OSError):  # a cache that cannot be written costs another hash next time, no more
            write_atomic(_stamp(entry), json.dumps(_identity(path)).encode())
        return
    remedy = "it is your own copy: replace it" if path == own_file(entry) else "get a whole copy of it"
    if entry.source == "bundled" and path != own_file(entry):
        remedy = "reinstall the package that carries it"
    if entry.source == "hub" and path == hub_file(entry):
        remedy = f"the file is now {quarantine(entry)}; run it again to download it anew"
    raise WeightsError(f"{path} ({entry.id}) has the sha256 {found[:12]}..., not {entry.sha256[:12]}...", remedy)


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
