"""`--data KIND:PATH` taken apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from deformcli.data.spec import parse_sources
from deformcli.errors import UsageError


def test_kinds_paths_and_bare_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    given = ["folder:a/b", "rotated:/c:d", "photos"]
    assert parse_sources(given) == [("folder", Path("a/b")), ("rotated", Path("/c:d")), ("folder", Path("photos"))]


@pytest.mark.parametrize("spec", ["nowhere", "folder:", ""])
def test_what_is_no_source(spec):
    with pytest.raises(UsageError, match="expected KIND:PATH"):
        parse_sources([spec])
