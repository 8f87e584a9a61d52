"""An empty text, as a variable that is not set becomes in a script, is no path, whatever the command."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("inpaint  -o out --mask m.png", "inputs"),
        ("inpaint a.png  -o out --mask m.png", "inputs"),
        ("inpaint a.png -o  --mask m.png", "--output"),
        ("inpaint a.png -o out --mask ", "--mask"),
        ("inpaint a.png -o out --mask m.png --files-from ", "--files-from"),
        ("inpaint a.png -o out --mask m.png --report=", "--report"),
        ("inpaint a.png -o out --mask m.png --weights ", "--weights"),
        ("frontalize a.png -o out --show-warp ", "--show-warp"),
        ("frontalize a.png -o out --detector ", "--detector"),
        ("train inpaint --data ", "--data"),
        ("train inpaint --data folder:a --out ", "--out"),
        ("evaluate dirs  truths", "predictions"),
        ("evaluate inpaint --data folder:a --html ", "--html"),
        ("synthesize photos --out out --data ", "--data"),
        ("data check ", "specs"),
        ("data mesh ", "photos"),
        ("runs list ", "folders"),
        ("weights import ", "tar"),
        ("weights export -o ", "--output"),
    ],
)
def test_an_empty_text_is_no_path(refused, line, name):
    assert refused(2, *line.split(" ")).startswith(f"error: {name} is an empty text\n")


def test_a_variable_that_is_empty_is_no_path(refused, monkeypatch):
    monkeypatch.setenv("DEFORM_INPAINT_MASK", "")
    assert refused(2, "inpaint", "a.png", "-o", "out.png").startswith("error: --mask is an empty text\n")
