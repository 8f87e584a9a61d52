"""The benchmarks keep step with the code that they measure."""

from __future__ import annotations

import runpy

import pytest

from .conftest import ROOT

SCRIPTS = sorted((ROOT / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=[script.stem for script in SCRIPTS])
def test_it_finds_what_it_measures(script, monkeypatch):
    monkeypatch.syspath_prepend(script.parent)  # as for a script that is run
    assert runpy.run_path(str(script), run_name="looked at")["__doc__"]
