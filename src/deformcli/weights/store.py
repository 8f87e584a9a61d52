"""From a network's id or path to a verified local file: the user's, bundled with a package, or from the Hub's cache."""

from __future__ import annotations

import importlib.util
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shlex import quote
from typing import Any

from safetensors import SafetensorError, safe_open

from deformcli.errors import WeightsError, one_line
from deformcli.runtime.tell import log

from .checksum import file_sha256, is_stamped, stamp
from .hub import download, hub_file, quarantine
from .manifest import ID, WeightsEntry, all_weights, find_entry, weights_dir

FORMAT = "deform-1"
"""The one key of the metadata of a file that deform writes, whose value is JSON; two would come out in any order."""
PICKLES = frozenset({".pt", ".pth", ".ckpt", ".bin", ".pkl", ".pickle", ".tar"})
_PICKLE_STARTS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
CUT_OFF = "ncomplete"  # what safetensors says of a file that ends before its tensors do, in every version
_STATISTICS = frozenset({"running_mean", "running_var", "num_batches_tracked"})


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
        log.debug("weights: %s", path)
        return _user_file(path, format)
    entry = find_entry(name if own else str(id_or_path))
    if task is not None and entry.task != task:
        known = ", ".join(sorted(other.id for other in all_weights().values() if other.task == task))
        raise WeightsError(f"the weights {entry.id} are for {entry.task}, not for {task}", f"known: {known or 'none'}")
    if own:
        return _checked(entry, _user_file(Path(copy), entry.format))
    return verified_file(entry, offline=offline)


def named_files(*names: str | None) -> list[Path]:
    """The user's own files among names such as ID, FILE and ID=FILE."""
    texts = [text for name in names if name for text in (name, name.partition("=")[2])]
    return [Path(text) for text in texts if os.path.isfile(text)]


def verified_file(entry: WeightsEntry, *, offline: bool = False, again: bool = False) -> Path:
    """The entry's local file, its checksum compared once and then stamped (`again`: compared anew).

    Raises:
        WeightsError: not available, or another checksum; a wrong download moves to the cache's quarantine folder.
    """
    path = local_file(entry)
    if path is None and entry.source == "hub":
        path = download(entry, offline=offline)
    if path is None:
        raise _not_here(entry)
    return _checked(entry, path, again)


def own_file(entry: WeightsEntry) -> Path:
    """Where the user's own copy of an entry is, if there is one."""
    return weights_dir() / f"{entry.id}.{entry.format}"


def local_file(entry: WeightsEntry) -> Path | None:
    """The entry's file where it is on this machine, not verified; uses no network."""
    own = own_file(entry)
    if own.is_file():
        return own
    folder = _bundle_folder(entry) if entry.source == "bundled" else None
    return path if folder and (path := folder / entry.path).is_file() else hub_file(entry)


def _bundle_folder(entry: WeightsEntry) -> Path | None:
    """The folder that a bundled file's path starts from; None if it is that of a package that is not installed."""
    if not entry.package:
        return entry.manifest.parent
    spec = importlib.util.find_spec(entry.package)  # finds a top-level package without running it
    return Path(next(iter(spec.submodule_search_locations))) if spec and spec.submodule_search_locations else None


def _not_here(entry: WeightsEntry) -> WeightsError:
    if entry.source == "bundled" and _bundle_folder(entry) is None:
        return WeightsError(f"the weights {entry.id} are in {entry.package}, which is not installed", "install it")
    remedy = "reinstall the package that carries it"
    if entry.source == "external":
        remedy = f"{entry.obtain}; then name it as {entry.id}=FILE, or put it at {own_file(entry)}"
    return WeightsError(f"the file of the weights {entry.id} is not on this machine", remedy)


def _checked(entry: WeightsEntry, path: Path, again: bool = False) -> Path:
    """`path`, if it has the entry's checksum; for an entry without one, if it is such a file."""
    log.debug("weights %s: %s", entry.id, path)
    if not entry.sha256:
        _user_file(path, entry.format)
    elif again or not is_stamped(path, entry.sha256):
        _check_sha256(entry, path)
    return path


def _check_sha256(entry: WeightsEntry, path: Path) -> None:
    found = file_sha256(path)
    if found == entry.sha256:
        stamp(path, entry.sha256)
        return
    if path == own_file(entry):
        remedy = "it is your own copy: replace it"
    elif entry.source == "bundled":
        remedy = "reinstall the package that carries it"
    elif path == hub_file(entry):
        remedy = f"the file is now {quarantine(entry, path)}; run it again to download it anew"
    else:
        remedy = "get a whole copy of it"
    raise WeightsError(f"{path} ({entry.id}) has the sha256 {found[:12]}..., not {entry.sha256[:12]}...", remedy)


def _user_file(path: Path, format: str) -> Path:
    """`path`, if it is a file of that format."""
    if path.suffix in PICKLES:
        raise _pickle_refused(path)
    if not path.is_file():
        raise WeightsError(f"no such file of weights: {path}", "check the path; `deform weights list` shows the ids")
    if path.suffix != f".{format}":
        raise WeightsError(f"{path} is no .{format} file", f"give an id or a .{format} file")
    if format == "safetensors":
        try:
            with open_safetensors(path):
                pass
        except WeightsError as error:
            if CUT_OFF not in str(error.__cause__):
                raise  # a file that ends too early is one: whoever loads it says so in his own words
    return path


@contextmanager
def open_safetensors(path: Path) -> Iterator[Any]:
    """A file as `safetensors.safe_open` gives it: what it says of itself is read, no tensor is.

    Raises:
        WeightsError: it is something else; a pickle is named as what it is.
    """
    try:
        with safe_open(path, "np") as file:
            yield file
    except (OSError, SafetensorError) as error:
        if _is_pickle(path):
            raise _pickle_refused(path) from error
        raise WeightsError(f"{path} is not a safetensors file: {one_line(error)}", "export it anew") from error


def _is_pickle(path: Path) -> bool:
    """Whether a file that is nothing else begins like a pickle."""
    with suppress(OSError), path.open("rb") as file:
        return file.read(4).startswith(_PICKLE_STARTS)
    return False


def parameter_counts(path: Path) -> dict[str, int]:
    """Learned numbers per network (the first word of the tensors' names), without reading them.

    Raises:
        WeightsError: not a safetensors file.
    """
    counts: dict[str, int] = {}
    with open_safetensors(path) as file:
        for name in file.keys():  # noqa: SIM118 - not a mapping
            network, _, rest = name.partition(".")
            if rest.rpartition(".")[2] not in _STATISTICS:
                counts[network] = counts.get(network, 0) + math.prod(file.get_slice(name).get_shape())
    return counts


def _pickle_refused(path: Path) -> WeightsError:
    cause = f"{path} is refused: opening a pickle (.pt, .pth, .ckpt, .bin) can run code"
    return WeightsError(cause, f"turn it into tensors and nothing else: deform weights convert {quote(str(path))}")
