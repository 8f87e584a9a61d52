"""The user's own networks: a run becomes an entry of the user's manifest, which lies with its file in weights_dir()."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import tomli_w

from deformcli.errors import UsageError, WeightsError
from deformcli.runs import Run
from deformcli.runtime.storage import write_atomic, writing

from .checksum import file_sha256
from .manifest import ID, WeightsEntry, all_weights, own_manifest, own_weights, weights_dir
from .store import FORMAT, open_safetensors


def add_run(run: Path, name: str, licence: str, trained_on: str, replace: bool = False) -> WeightsEntry:
    """Copy a run's best weights, its last where none were measured, to the user's own under an id.

    Args:
        run: the folder that `deform train` wrote.
        name: the id; empty for the folder's name.
        licence: under which others may use the weights.
        trained_on: the data in words; empty for what the run was told.
        replace: whether the user's own weights of that id give way.

    Raises:
        UsageError: an id that is none or taken.
        WeightsError: no weights there.
    """
    name = name or re.sub(r"[^a-z0-9._-]+", "-", run.resolve().name.lower()).strip("-._")
    if not ID.fullmatch(name):
        raise UsageError(f"{name!r} is no id", "give --id one of lower-case letters, digits, '.', '_' and '-'")
    taken = all_weights().get(name)
    if taken and not (replace and is_own(taken)):
        remedy = "give another --id" + (", or --replace them" if is_own(taken) else ": those are not your own")
        raise UsageError(f"the weights {name} exist already", remedy)
    trained = Run(run)
    source = trained.weights
    if source is None:
        raise WeightsError(f"{run} holds no weights", "name a folder that `deform train` wrote")
    with open_safetensors(source) as file:
        about = json.loads((file.metadata() or {}).get(FORMAT, "{}"))
    if not {"task", "config", "steps"} <= about.keys():
        raise WeightsError(f"{source} holds no network of deform", "name a folder that `deform train` wrote")
    target = weights_dir() / f"{name}.safetensors"
    with writing(target, "free some space, or set DEFORM_WEIGHTS_DIR"):
        write_atomic(target, source.read_bytes())
    best = trained.best
    measured = best and f"MSE {best['held_out_mse']:.5f} on the validation split at step {best['step']}"
    entry = WeightsEntry(
        id=name,
        manifest=own_manifest(),
        task=about["task"],
        arch=f"trained with deform, {about['steps']} steps",
        source="bundled",
        path=target.name,
        sha256=file_sha256(target),
        size=target.stat().st_size,
        format="safetensors",
        licence=licence or "not stated",
        trained_on=trained_on or ", ".join(trained.about.get("data", [])) or "not told",
        status="own run",
        config=about["config"],
        metrics={"summary": measured} if measured else {},
    )
    put(entry)
    return entry


def is_own(entry: WeightsEntry) -> bool:
    """Whether an entry is of the user's manifest."""
    return entry.manifest == own_manifest()


def put(entry: WeightsEntry) -> None:
    """Write an entry into the user's manifest, in the place of one of that id."""
    _write({**own_weights(), entry.id: entry})


def forget(names: list[str]) -> None:
    """Take entries out of the user's manifest; others' entries stay."""
    entries = own_weights()
    if entries.keys() & set(names):
        _write({name: entry for name, entry in entries.items() if name not in names})


def as_toml(entry: WeightsEntry) -> str:
    """The entry as its table of a manifest."""
    return tomli_w.dumps({entry.id: _table(entry)})


def as_manifest(entries: Iterable[WeightsEntry]) -> str:
    """A manifest of these entries alone."""
    return tomli_w.dumps({"schema": 1, **{entry.id: _table(entry) for entry in entries}})


def _table(entry: WeightsEntry) -> dict[str, Any]:
    values = {field.name: getattr(entry, field.name) for field in fields(entry) if field.name not in ("id", "manifest")}
    return {key: value for key, value in values.items() if value not in ("", 0, {})}


def _write(entries: Mapping[str, WeightsEntry]) -> None:
    with writing(own_manifest(), "free some space, or set DEFORM_WEIGHTS_DIR"):
        write_atomic(own_manifest(), as_manifest(entries.values()).encode())
