"""The documentation tells the truth: its code is the code, its commands run."""

from __future__ import annotations

import re
from pathlib import Path

from .conftest import ROOT

DOCS = ROOT / "docs"
SWIRL = ROOT / "examples" / "plugins" / "deform-swirl"


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a page that are in `language`."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def test_the_tutorial_is_the_example():
    page = DOCS / "writing-a-plugin.md"
    assert blocks(page, "toml") == [(SWIRL / "pyproject.toml").read_text("utf-8")]
    assert blocks(page, "python") == [
        (SWIRL / f"{name}.py").read_text("utf-8") for name in ("deform_swirl", "test_swirl")
    ]
