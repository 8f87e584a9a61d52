"""NOTICE credits what the bundled weights were made from, and every wheel carries it."""

from __future__ import annotations

import re
import tomllib

import pytest

from deformcli.weights import all_weights

from .conftest import ROOT

BUNDLED = [entry for entry in all_weights().values() if entry.source == "bundled"]
CREDITED = re.compile(
    r"CC BY 4\.0|CC0|Apache-2\.0|public domain|\bMIT\b|\bBSD\b"  # terms
    r"|10\.\d{4,}/[\w.]*\w"  # what a doi names
    r"|\b[A-Z]\w+(?:, [A-Z]\w+)* and [A-Z]\w+ \d{4}"  # authors and year
    r"|\b[\w-]+/[\w-]*[a-zA-Z][\w.-]*\w"  # a repository
)


@pytest.mark.parametrize("entry", BUNDLED, ids=lambda entry: entry.id)
def test_terms_and_sources_of_bundled_weights_are_credited(entry):
    notice = " ".join((ROOT / "NOTICE").read_text("utf-8").split())
    said = " ".join(f"{entry.licence} {entry.trained_on}".split())
    assert entry.id in notice
    assert (found := CREDITED.findall(said))
    assert [words for words in found if words not in notice] == []


def test_the_licence_and_the_notice_go_into_the_wheel():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["license-files"] == ["LICENSE", "NOTICE"]
    assert all((ROOT / name).is_file() for name in project["license-files"])
