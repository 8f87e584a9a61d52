"""Putting one's own weights on the Hugging Face Hub: the file, a card, and the commit that pins both."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from .hub import hub_client
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
