"""Putting one's own weights on the Hugging Face Hub: the file, a card, and the commit that pins both."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from deformcli.errors import WeightsError, one_line

from .hub import refused_with
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


def publish(entry: WeightsEntry, path: Path, repo: str, private: bool) -> WeightsEntry:
    """Upload an entry's file with a model card in one commit; the entry as a manifest is to have it from now on.

    Args:
        entry: what the card tells.
        path: its verified local file.
        repo: owner/name; it is made where it is not there.
        private: whether a repository that is made is one.

    Raises:
        WeightsError: the Hub did not take it.
    """
    import huggingface_hub
    from huggingface_hub import CommitOperationAdd, utils

    if not sys.stderr.isatty():
        utils.disable_progress_bars()
    file = f"{entry.id}.safetensors"
    about = {"id": entry.id, "task": entry.task, "arch": entry.arch, "trained_on": entry.trained_on, "file": file}
    card = CARD.format(**about, licence=entry.licence.lower(), summary=entry.metrics.get("summary", ""))
    operations = [CommitOperationAdd(file, path), CommitOperationAdd("README.md", card.encode())]
    hub = huggingface_hub.HfApi(library_name="deform")
    try:
        hub.create_repo(repo, private=private, exist_ok=True)
        commit = hub.create_commit(repo, operations, commit_message=f"Add {entry.id}")
    except Exception as error:  # the client lets errors of several libraries through; each means "not taken"
        cause, remedy = _refusal(error, repo)
        raise WeightsError(f"{entry.id} cannot be published as {repo}: {cause}", remedy) from error
    return replace(entry, source="hub", path="", package="", repo=repo, revision=commit.oid, file=file)


def _refusal(error: BaseException, repo: str) -> tuple[str, str]:
    match refused_with(error):
        case 401 | 403:
            return "the Hub refuses access", f"set HF_TOKEN to a token that may write to {repo}"
        case 404:
            return "the Hub has no such place", "check REPO and HF_ENDPOINT"
    return one_line(error), "check the network, HF_ENDPOINT and HF_TOKEN, then run it again"
