"""`--data KIND:PATH?option=value` taken apart and opened."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deformcli.data.spec import located, open_source, parse_spec
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


@pytest.fixture
def celeba(tmp_path, monkeypatch, make_picture):
    """`celeba("data/celeba")` puts a picture of CelebA's train split there; the working folder is empty."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    monkeypatch.delenv("DEFORM_DATA_DIR", raising=False)

    def make(place: str) -> None:
        make_picture(tmp_path / "cwd" / place / "000001.jpg")

    return make


@pytest.mark.parametrize(
    ("place", "roots", "found"),
    [
        ("celeba", "", "celeba"),
        ("data/celeba", "", "data/celeba"),
        ("celeba/img_align_celeba", "", "celeba"),
        ("../sets/celeba", "nowhere:../sets", "../sets/celeba"),
        ("../sets/img_align_celeba", "../sets:nowhere", "../sets"),
        ("celeba", "../sets", "celeba"),
    ],
)
def test_a_kind_alone_is_looked_for(celeba, monkeypatch, place, roots, found):
    celeba(place)
    if roots:
        monkeypatch.setenv("DEFORM_DATA_DIR", roots.replace(":", os.pathsep))
    assert located(["celeba", "folder:x"]) == [f"celeba:{found}", "folder:x"]
    assert located(["celeba?protocol=thesis&share=0.5"]) == [f"celeba:{found}?protocol=thesis&share=0.5"]
    assert len(open_source("celeba", "train").data) == 1


def test_the_first_place_counts(celeba, monkeypatch):
    for place in ("../sets/celeba", "celeba", "data/celeba"):
        celeba(place)
    assert located(["celeba"]) == ["celeba:celeba"]
    monkeypatch.setenv("DEFORM_DATA_DIR", "../sets")
    assert located(["celeba"]) == ["celeba:../sets/celeba"]


def test_a_kind_that_is_nowhere(celeba, monkeypatch):
    monkeypatch.setenv("DEFORM_DATA_DIR", "../sets")
    with pytest.raises(UsageError) as caught:
        located(["celeba"])
    assert "no CelebA there (looked for in ../sets/celeba, ../sets, celeba, data/celeba)" in caught.value.cause
    assert all(words in caught.value.remedy for words in ("CelebA.html", "non-commercial", "img_align_celeba.zip"))
    celeba("celeba")
    with pytest.raises(UsageError, match=r"no protocol 'mine'.* \(looked for in") as caught:
        located(["celeba?protocol=mine"])
    assert "official, thesis" in caught.value.remedy


@pytest.mark.parametrize("spec", ["folder", "hf", "nothing", "photos"])
def test_other_words_stay(celeba, spec):
    assert located([spec]) == [spec]


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
