"""The Hub's files in our cache: fetched at a pinned revision, quarantined, removed. `weights` verifies them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from deformcli.errors import WeightsError, one_line
from deformcli.runtime.storage import cache_dir

from .manifest import WeightsEntry


def hub_folder() -> Path:
    """The Hub's cache within ours, laid out by its client."""
    return cache_dir() / "hub"


def hub_file(entry: WeightsEntry) -> Path:
    """Where the client puts an entry's file."""
    snapshots = hub_folder() / f"models--{entry.repo.replace('/', '--')}" / "snapshots"
    return snapshots / entry.revision / entry.file


def download(entry: WeightsEntry, *, offline: bool = False) -> Path:
    """Fetch the entry's file; a dropped connection is taken up where it broke. HF_ENDPOINT and HF_TOKEN apply.

    Raises:
        WeightsError: offline, or the Hub did not give it; the remedy depends on what the Hub said.
    """
    import huggingface_hub
    from huggingface_hub import constants, utils

    what = f"the weights {entry.id} ({entry.repo}, {entry.file})"
    if offline or constants.HF_HUB_OFFLINE:
        # Not left to the client's local_files_only: some versions of it talk to the Hub even then.
        remedy = "run it once without --offline and HF_HUB_OFFLINE, or bring it with `deform weights import`"
        raise WeightsError(f"{what} are not on this machine", remedy)
    if not sys.stderr.isatty():
        utils.disable_progress_bars()
    utils.logging.set_verbosity_error()  # what the client warns of ends in the error or does not matter
    try:
        path = huggingface_hub.hf_hub_download(entry.repo, entry.file, revision=entry.revision, cache_dir=hub_folder())
    except Exception as error:  # the client lets errors of several libraries through; each means "not available"
        cause, remedy = _refusal(error, entry)
        raise WeightsError(f"{what} cannot be downloaded: {cause}", remedy) from error
    return Path(path)


def quarantine(entry: WeightsEntry) -> Path:
    """Move a wrong download out of the way; where it is now."""
    path, target = hub_file(entry), cache_dir() / "quarantine" / f"{entry.id}.safetensors"
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(path.resolve(), target)  # in the Hub's cache `path` is a link to a blob
    path.unlink(missing_ok=True)
    return target


def superfluous(entries: Iterable[WeightsEntry]) -> Iterator[Path]:
    """Files of the cache that serve none of `entries`: old revisions, unfinished and quarantined downloads, stamps."""
    entries = list(entries)
    kept = {path for entry in entries if entry.source == "hub" for path in (hub_file(entry), hub_file(entry).resolve())}
    kept |= {cache_dir() / "verified" / f"{entry.sha256}.json" for entry in entries}
    for folder in (*hub_folder().glob("models--*"), cache_dir() / "quarantine", cache_dir() / "verified"):
        for path in sorted(folder.rglob("*")):
            if not path.is_dir() and not {path, path.resolve()} & kept:
                yield path


def remove(paths: Iterable[Path]) -> int:
    """Delete files of the cache and the folders that are empty without them; bytes freed. Raises WeightsError."""
    freed = 0
    for path in paths:
        try:
            freed += 0 if path.is_symlink() else path.stat().st_size
            path.unlink()
            for parent in path.parents:
                if parent == cache_dir() or any(parent.iterdir()):
                    break
                parent.rmdir()
        except OSError as error:
            raise WeightsError(f"{path} cannot be removed: {error.strerror or error}", "remove it yourself") from error
    return freed


def refused_with(error: BaseException) -> int | None:
    """The HTTP status behind an error of the Hub's client, if the Hub answered."""
    response = getattr(error, "response", None) or getattr(error.__cause__, "response", None)
    return getattr(response, "status_code", None)


def _refusal(error: BaseException, entry: WeightsEntry) -> tuple[str, str]:
    match refused_with(error):
        case 401 | 403:
            return "the Hub refuses access", f"set HF_TOKEN to a token that may read {entry.repo}"
        case 404:
            return "the Hub has no such file", "update deform or its plugin, or check HF_ENDPOINT"
        case 429:
            return "the Hub takes no more requests for now", "wait a few minutes and run it again, or set HF_TOKEN"
    return one_line(error), "check the network and HF_ENDPOINT, then run it again"
