"""Files that are there whole or not at all, and names that are taken once."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from deformcli.runtime.storage import write_new


def no_links(*_: object) -> None:
    raise OSError(95, "Operation not supported")


@pytest.mark.parametrize("links", [True, False])
def test_one_of_many_gets_a_new_name(tmp_path, monkeypatch, links):
    if not links:
        monkeypatch.setattr(os, "link", no_links)
    path, texts = tmp_path / "new" / "a", [bytes([number]) * 100_000 for number in range(20)]
    with ThreadPoolExecutor(8) as pool:
        written = list(pool.map(lambda text: write_new(path, text), texts))
    assert sum(written) == 1
    assert path.read_bytes() == texts[written.index(True)]
    assert list(path.parent.iterdir()) == [path]


def test_what_cannot_be_written_leaves_nothing(tmp_path, monkeypatch):
    def full(self: Path, data: bytes) -> None:
        self.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        write_new(tmp_path / "a", b"x")
    assert not list(tmp_path.iterdir())
