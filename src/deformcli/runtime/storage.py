"""Where files of the tool go, and writing one so that it is there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from deformcli.errors import DeformError


def cache_dir() -> Path:
    """Where downloads and stamps go: DEFORM_CACHE_DIR, or the user's cache folder."""
    return Path(os.environ.get("DEFORM_CACHE_DIR") or platformdirs.user_cache_path("deform"))


def write_atomic(path: Path, data: bytes) -> None:
    """Write `data` beside `path` and rename it into place; the folder is made. A failure leaves no file behind.

    Raises:
        OSError: the folder or the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with renamed_into(path) as temporary:
        temporary.write_bytes(data)


def write_new(path: Path, data: bytes) -> bool:
    """`write_atomic`, but only where nothing is at `path` by then, whoever else writes; whether it was written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _temporary(path) as temporary:
        temporary.write_bytes(data)
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
        except OSError:  # a file system without links: take the name, then fill it
            try:
                path.open("xb").close()
            except FileExistsError:
                return False
            os.replace(temporary, path)
    return True


@contextmanager
def renamed_into(path: Path) -> Iterator[Path]:
    """A new file beside `path` to write to, hidden, ending in .part, no longer than names may be; `path` at the end."""
    with _temporary(path) as temporary:
        yield temporary
        os.replace(temporary, path)


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    temporary = path.with_name(f".{os.urandom(8).hex()}.part")
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)  # still there after an error, and where both were links to one file


@contextmanager
def writing(
    what: Path | str, remedy: str = "choose another place", kind: type[DeformError] = DeformError
) -> Iterator[None]:
    """Turn a failure to write into an error of that kind, which says where, why and what to do."""
    try:
        yield
    except BrokenPipeError:  # the reader of stdout is gone: the program's business
        raise
    except OSError as error:
        raise kind(f"{what} cannot be written: {error.strerror or error}", remedy) from error
