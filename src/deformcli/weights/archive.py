"""One tar of weights for machines without a network: `SHA256SUMS` first, then a file ID.FORMAT each.

The tables of somebody's own weights, which no other machine knows, are in a `manifest.toml` between the two.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO

from deformcli.errors import WeightsError, one_line
from deformcli.runtime.storage import renamed_into

from .checksum import file_sha256
from .manifest import ID, WeightsEntry, own_manifest, read_manifest
from .own import as_manifest, put

SUMS, MANIFEST = "SHA256SUMS", "manifest.toml"


def write_archive(path: Path, files: Mapping[str, Path], own: Sequence[WeightsEntry] = ()) -> None:
    """Put verified files (by id) into a tar, which is there whole or not at all, with the tables of the user's `own`.

    Raises OSError.
    """
    manifest = as_manifest(own).encode() if own else b""
    sums = f"{hashlib.sha256(manifest).hexdigest()}  {MANIFEST}\n" if own else ""
    sums += "".join(f"{file_sha256(file)}  {name}{file.suffix}\n" for name, file in files.items())
    with renamed_into(path) as temporary, tarfile.open(temporary, "w") as tar:
        for name, text in ((SUMS, sums.encode()), (MANIFEST, manifest)):
            if text:
                tar.addfile(_member(name, len(text)), io.BytesIO(text))
        for name, file in files.items():
            with file.open("rb") as data:
                tar.addfile(_member(f"{name}{file.suffix}", file.stat().st_size), data)


def read_archive(path: Path, folder: Path, entries: Mapping[str, WeightsEntry]) -> list[Path]:
    """Put the files of a tar into `folder`, all of them or none; no other name than ID.FORMAT is ever written.

    Weights that were somebody's own, and that no entry here knows, become the user's own.

    Raises:
        WeightsError: not such a tar, weights of no entry, or a checksum that is not the tar's and the entry's.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as unpacked, tarfile.open(path, "r:") as tar:
            sums = _sums(tar)
            own = _own(tar, sums, Path(unpacked), entries)
            for name, expected in sums.items():
                _unpack(tar, name, expected, Path(unpacked), {**entries, **own})
            for name in sums:
                os.replace(Path(unpacked, name), folder / name)
            for entry in own.values():
                put(entry)
            return [folder / name for name in sums]
    except (OSError, tarfile.TarError, ValueError) as error:
        cause = str(error) if type(error) is ValueError else one_line(error)
        raise WeightsError(f"{path} is not imported: {cause}", "export it anew with `deform weights export`") from error


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)  # time, owner and mode are the same for everyone
    member.size = size
    return member


def _sums(tar: tarfile.TarFile) -> dict[str, str]:
    """Name -> sha256, in the tar's order. Raises ValueError if the tar holds anything else than those names."""
    members = tar.getmembers()
    if not members or members[0].name != SUMS or any(not member.isreg() for member in members):
        raise ValueError(f"it is no archive of weights: expected plain files, {SUMS} first")
    lines = _data(tar, members[0]).read(1 << 20).decode("ascii").splitlines()
    sums = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    if [member.name for member in members[1:]] != list(sums):
        raise ValueError(f"its files are not those of {SUMS}")
    return sums


def _own(
    tar: tarfile.TarFile, sums: dict[str, str], folder: Path, entries: Mapping[str, WeightsEntry]
) -> dict[str, WeightsEntry]:
    """The tar's tables of weights that are not known here, taken out of `sums`. Raises ValueError for a wrong one."""
    if MANIFEST not in sums:
        return {}
    (folder / MANIFEST).write_bytes(_data(tar, MANIFEST).read(1 << 20))
    if file_sha256(folder / MANIFEST) != sums.pop(MANIFEST):
        raise ValueError(f"{MANIFEST} has another sha256")
    try:
        carried = read_manifest(folder / MANIFEST)
    except WeightsError as error:
        raise ValueError(error.cause.replace(f"{folder}{os.sep}", "")) from error
    for name, entry in carried.items():
        file = f"{name}.{entry.format}"
        if file not in sums or entry.package or entry.source == "external" or entry.path not in ("", file):
            raise ValueError(f"{MANIFEST}: [{name}] is no table of somebody's own weights")
        if name in entries and entries[name].sha256 != entry.sha256:
            raise ValueError(f"other weights are called {name!r} here: deform weights rm {name} makes room")
    return {name: replace(e, manifest=own_manifest()) for name, e in carried.items() if name not in entries}


def _unpack(tar: tarfile.TarFile, name: str, expected: str, folder: Path, entries: Mapping[str, WeightsEntry]) -> None:
    weights, _, kind = name.rpartition(".")
    if not ID.fullmatch(weights) or not re.fullmatch("[0-9a-f]{64}", expected):
        raise ValueError(f"{name!r} is no name of weights")
    if weights not in entries:
        raise ValueError(f"no weights are called {weights!r}; is a plugin missing?")
    if kind != entries[weights].format:
        raise ValueError(f"{name!r} is no name of weights")
    target = folder / name
    with target.open("wb") as file:
        shutil.copyfileobj(_data(tar, name), file)
    found = file_sha256(target)
    if found != expected or found != (entries[weights].sha256 or found):
        raise ValueError(f"{name} has the sha256 {found[:12]}..., which is not the one it should have")


def _data(tar: tarfile.TarFile, member: tarfile.TarInfo | str) -> IO[bytes]:
    return tar.extractfile(member)  # type: ignore[return-value]  # a plain file has data
