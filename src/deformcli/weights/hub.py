"""The Hub: its files in our cache, fetched at a pinned revision, quarantined, removed; one's own weights put on it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from deformcli.errors import WeightsError, one_line
from deformcli.runtime.storage import cache_dir

from .checksum import stamp_file
from .manifest import WeightsEntry

CARD = """---
license: {licence}
library_name: deform
tags: [{task}]
---

# {id}

Weights of [deform](https://pypi.org/project/deformcli) for `deform {task}`: {arch}.

    deform {task} IN -o OUT --weights {file}

Trained on: {trained_on}. {summary}
"""


def hub_folder() -> Path:
    """The Hub's cache within ours, laid out by its client."""
    return cache_dir() / "hub"


def hub_file(entry: WeightsEntry) -> Path | None:
    """The entry's file where it is in the cache; uses no network."""
    if entry.source != "hub":
        return None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(entry.repo, entry.file, cache_dir=hub_folder(), revision=entry.revision)
    return Path(found) if isinstance(found, str) else None


@contextmanager
def hub_client(
    what: str, *, may: str, missing: tuple[str, str], check: str = "the network and HF_ENDPOINT"
) -> Iterator[Any]:
    """The Hub's client, which is quiet and takes HF_ENDPOINT and HF_TOKEN.

    Args:
        what: what cannot be done if it fails.
        may: what a token is to allow.
        missing: cause and remedy if the Hub does not have it.
        check: what to check if the Hub does not answer.

    Raises:
        WeightsError: whatever went wrong within; the remedy depends on what the Hub said.
    """
    import huggingface_hub
    from huggingface_hub import utils

    if not sys.stderr.isatty():
        utils.disable_progress_bars()
    utils.logging.set_verbosity_error()  # what the client warns of ends in the error or does not matter
    try:
        yield huggingface_hub
    except Exception as error:  # the client lets errors of several libraries through; each means "not available"
        response = getattr(error, "response", None) or getattr(error.__cause__, "response", None)
        match getattr(response, "status_code", None):
            case 401 | 403:
                cause, remedy = "the Hub refuses access", f"set HF_TOKEN to a token that may {may}"
            case 404:
                cause, remedy = missing
            case 429:
                cause = "the Hub takes no more requests for now"
                remedy = "wait a few minutes and run it again, or set HF_TOKEN"
            case _:
                cause, remedy = one_line(error), f"check {check}, then run it again"
        raise WeightsError(f"{what}: {cause}", remedy) from error


def download(entry: WeightsEntry, *, offline: bool) -> Path:
    """Fetch the entry's file; a dropped connection is taken up where it broke. HF_ENDPOINT and HF_TOKEN apply.

    Raises:
        WeightsError: offline, or the Hub did not give it.
    """
    from huggingface_hub import constants

    what = f"the weights {entry.id} ({entry.repo}, {entry.file})"
    if offline or constants.HF_HUB_OFFLINE:
        # Not left to the client's local_files_only: some versions of it talk to the Hub even then.
        remedy = "run it once without --offline and HF_HUB_OFFLINE, or bring it with `deform weights import`"
        raise WeightsError(f"{what} are not on this machine", remedy)
    missing = "the Hub has no such file", "update deform or its plugin, or check HF_ENDPOINT"
    with hub_client(f"{what} cannot be downloaded", may=f"read {entry.repo}", missing=missing) as hub:
        return Path(hub.hf_hub_download(entry.repo, entry.file, revision=entry.revision, cache_dir=hub_folder()))


def upload(entry: WeightsEntry, path: Path, repo: str, *, private: bool) -> WeightsEntry:
    """Upload an entry's file with a model card in one commit; the entry as a manifest is to have it from now on.

    Args:
        entry: what the card tells.
        path: its verified local file.
        repo: owner/name; it is made where it is not there.
        private: whether a repository that is made is one.

    Raises:
        WeightsError: the Hub did not take it.
    """
    file = f"{entry.id}.safetensors"
    about = {"id": entry.id, "task": entry.task, "arch": entry.arch, "trained_on": entry.trained_on, "file": file}
    card = CARD.format(**about, licence=entry.licence.lower(), summary=entry.metrics.get("summary", ""))
    with hub_client(
        f"{entry.id} cannot be published as {repo}",
        may=f"write to {repo}",
        missing=("the Hub has no such place", "check REPO and HF_ENDPOINT"),
        check="the network, HF_ENDPOINT and HF_TOKEN",
    ) as hub:
        client = hub.HfApi(library_name="deform")
        client.create_repo(repo, private=private, exist_ok=True)
        added = [hub.CommitOperationAdd(file, path), hub.CommitOperationAdd("README.md", card.encode())]
        commit = client.create_commit(repo, added, commit_message=f"Add {entry.id}")
    return replace(entry, source="hub", path="", package="", repo=repo, revision=commit.oid, file=file)


def quarantine(entry: WeightsEntry, path: Path) -> Path:
    """Move a wrong download out of the way; where it is now."""
    target = cache_dir() / "quarantine" / f"{entry.id}.safetensors"
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(path.resolve(), target)  # in the Hub's cache `path` is a link to a blob
    path.unlink(missing_ok=True)
    return target


def superfluous(entries: Iterable[WeightsEntry]) -> Iterator[Path]:
    """Files of the cache that serve none of `entries`: old revisions, unfinished and quarantined downloads, stamps."""
    entries = list(entries)
    downloads = [path for entry in entries if (path := hub_file(entry))]
    kept = {*downloads, *(path.resolve() for path in downloads), *(stamp_file(entry.sha256) for entry in entries)}
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
