"""Files and their sha256: computed once, then stamped, so that a file that has not changed is not read again."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from deformcli.runtime.storage import cache_dir, write_atomic


def file_sha256(path: Path) -> str:
    """The file's sha256 in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def stamp_file(sha256: str) -> Path:
    """Where it is noted which file was seen to have that checksum."""
    return cache_dir() / "verified" / f"{sha256}.json"


def is_stamped(path: Path, sha256: str) -> bool:
    """Whether the file was seen to have that checksum, and has not changed since."""
    try:
        return json.loads(stamp_file(sha256).read_text("utf-8")) == _identity(path)
    except (OSError, ValueError):
        return False


def stamp(path: Path, sha256: str) -> None:
    """Note that the file has that checksum."""
    with suppress(OSError):  # a cache that cannot be written costs another hash next time, no more
        write_atomic(stamp_file(sha256), json.dumps(_identity(path)).encode())


def _identity(path: Path) -> dict[str, Any]:
    state = path.stat()
    return {"path": str(path.resolve()), "size": state.st_size, "mtime_ns": state.st_mtime_ns}
