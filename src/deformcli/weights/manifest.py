"""The manifest of networks: one table per id, read and checked. `weights` turns an entry into a local file."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deformcli import registry
from deformcli.errors import WeightsError, one_line
from deformcli.runtime.storage import cache_dir

CORE_MANIFEST = Path(__file__).with_name("weights_manifest.toml")
ID = re.compile(r"[a-z0-9][a-z0-9._-]*")
_SHA1, _SHA256 = r"[0-9a-f]{40}", r"[0-9a-f]{64}"
_INSIDE = r"(?!.*\.\.(/|$))[^/\\:][^\\:]*"  # relative, '/' between folders, no way up
_TEXT = r"(?s).+"
_SHAPES = {
    "task": (_TEXT, "a text"),
    "arch": (_TEXT, "a text"),
    "source": (r"bundled|hub|external", "bundled, hub or external"),
    "sha256": (_SHA256, "64 lower-case hex digits"),
    "format": (r"safetensors|onnx", "safetensors or onnx"),
    "licence": (_TEXT, "a text"),
    "trained_on": (_TEXT, "a text"),
    "status": (_TEXT, "a text"),
    "package": (r"[A-Za-z_]\w*", "the name of a top-level package"),
    "path": (_INSIDE, "a relative path that stays inside the package"),
    "repo": (r"[\w.-]+/[\w.-]+", "owner/name"),
    "revision": (_SHA1, "a commit: 40 lower-case hex digits"),
    "file": (_INSIDE, "a relative path that stays inside the repository"),
    "obtain": (_TEXT, "a text"),
    "notes": (_TEXT, "a text"),
}
_ALWAYS = ("task", "arch", "source", "format", "licence", "trained_on", "status")
_CHECKED = ("sha256", "size")
_NEEDED = {
    "bundled": (*_CHECKED, "path"),
    "hub": (*_CHECKED, "repo", "revision", "file"),
    "external": ("obtain",),  # nobody vouches for one file: a checksum is optional
}


@dataclass(frozen=True, kw_only=True)
class WeightsEntry:
    """One network of a manifest."""

    id: str
    manifest: Path
    """The file this comes from."""
    task: str
    """What it is for: frontalize, inpaint, ..."""
    arch: str
    """Which networks, in which form: the preset's name."""
    source: str
    """bundled (in an installed package), hub (a pinned file of the Hugging Face Hub) or external (get it yourself)."""
    format: str
    """safetensors, or onnx for networks that OpenCV runs; nothing else is opened."""
    licence: str
    trained_on: str
    status: str
    """In words: first weights, release, superseded, external, ..."""
    sha256: str = ""
    """Empty for external weights of which no one copy is the right one."""
    size: int = 0
    """Bytes; 0 where unknown."""
    config: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    """What was measured, and on what; `summary` is one line of it."""
    notes: str = ""
    """How it was trained, by which commands and commit, and where it is known to fail."""
    package: str = ""
    """bundled: the package that `path` is in; empty: the folder of the manifest."""
    path: str = ""
    repo: str = ""
    revision: str = ""
    file: str = ""
    obtain: str = ""
    """external: how to get it."""


def read_manifest(path: Path) -> dict[str, WeightsEntry]:
    """Read and check one manifest: id -> entry.

    Raises:
        WeightsError: it is not a manifest; the cause names the file, the table and the key.
    """
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path} cannot be read as a manifest: {one_line(error)}", "repair it") from error
    schema = tables.pop("schema", None)
    if schema != 1:
        raise WeightsError(f"{path}: schema: expected 1, got {schema!r}", "use a manifest of this version of deform")
    return {name: _entry(path, name, table) for name, table in tables.items()}


def weights_dir() -> Path:
    """The user's own copies, each called ID.FORMAT: DEFORM_WEIGHTS_DIR, or a folder of the cache."""
    return Path(os.environ.get("DEFORM_WEIGHTS_DIR") or cache_dir() / "weights")


def own_manifest() -> Path:
    """Where the user's own manifest is, if there is one: with the files it names."""
    return weights_dir() / "manifest.toml"


def own_weights() -> dict[str, WeightsEntry]:
    """The networks of the user's own manifest. Raises WeightsError if it is wrong."""
    return read_manifest(own_manifest()) if own_manifest().is_file() else {}


def all_weights() -> dict[str, WeightsEntry]:
    """The networks of the core's manifest, the plugins' and the user's own; a plugin with a wrong one is set aside.

    Raises:
        WeightsError: the core's or the user's manifest is wrong.
    """
    entries = read_manifest(CORE_MANIFEST)
    plugins = registry.plugins()
    for plugin, path in plugins.offers("register_weights"):
        try:
            more = read_manifest(Path(path))
            if taken := sorted(entries.keys() & more.keys()):
                raise ValueError(f"the weights {', '.join(taken)} exist already")
        except (WeightsError, TypeError, ValueError) as error:
            plugins.set_aside(plugin, error)
        else:
            entries |= more
    return own_weights() | entries


def find_entry(name: str) -> WeightsEntry:
    """The entry of that id. Raises WeightsError if there is none; the remedy lists those there are."""
    entries = all_weights()
    if name not in entries:
        raise WeightsError(f"no weights are called {name!r}", f"known: {', '.join(sorted(entries)) or 'none'}")
    return entries[name]


def _entry(path: Path, name: str, table: Any) -> WeightsEntry:
    if not ID.fullmatch(name) or not isinstance(table, dict):
        expected = "a table whose name is of lower-case letters, digits, '.', '_' and '-'"
        raise WeightsError(f"{path}: {name}: expected {expected}", "repair the manifest")
    if problem := _problem(table):
        key, expected = problem
        got = f"got {table[key]!r}" if key in table else "it is missing"
        raise WeightsError(f"{path}: [{name}] {key}: expected {expected}, {got}", "repair the manifest")
    return WeightsEntry(id=name, manifest=path, **table)


def _problem(table: dict[str, Any]) -> tuple[str, str] | None:
    """The first key that is wrong, and what was expected of it."""
    for key in (*_ALWAYS, *_NEEDED.get(str(table.get("source")), ())):
        if key not in table:
            return key, "a value"
    for key, value in table.items():
        if key in _SHAPES:
            shape, expected = _SHAPES[key]
            right = isinstance(value, str) and re.fullmatch(shape, value) is not None
        elif key in ("config", "metrics"):
            right, expected = isinstance(value, dict), "a table"
        elif key == "size":
            right, expected = type(value) is int and value > 0, "the number of bytes"
        else:
            right, expected = False, f"one of {', '.join((*_SHAPES, 'size', 'config', 'metrics'))}"
        if not right:
            return key, expected
    return None
