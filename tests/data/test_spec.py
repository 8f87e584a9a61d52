"""`--data KIND:PATH?option=value` taken apart and opened."""

from __future__ import annotations

from pathlib import Path

import pytest

from deformcli.data.spec import open_source, parse_spec
from deformcli.errors import UsageError


def test_kinds_paths_options_and_bare_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("photos", "odd?name=1"):
        Path(name).mkdir()
    assert parse_spec("folder:a/b") == ("folder", "a/b", {})
    assert parse_spec("rotated:/c:d") == ("rotated", "/c:d", {})
    assert parse_spec("celeba:/c?protocol=thesis&share=0.5") == ("celeba", "/c", {"protocol": "thesis", "share": "0.5"})
    assert parse_spec("folder:what?") == ("folder", "what?", {})
    assert parse_spec("photos") == ("folder", "photos", {})
    assert parse_spec("odd?name=1") == ("folder", "odd?name=1", {})


@pytest.mark.parametrize("spec", ["nowhere", "folder:", ""])
def test_what_is_no_spec(spec):
    with pytest.raises(UsageError, match="expected KIND:PATH"):
        parse_spec(spec)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("paintings:x", "no data set is called 'paintings'"),
        ("folder:x?colour=red", "no option 'colour'"),
        ("folder:x?share=2", "share=2"),
        ("folder:x?share=most", "share=most"),
    ],
)
def test_what_cannot_be_opened(spec, words):
    with pytest.raises(UsageError, match=words):
        open_source(spec, "train")
