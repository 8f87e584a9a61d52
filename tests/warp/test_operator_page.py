"""The examples of docs/operator.md run, and do what they say."""

import re
import runpy
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "operator.md"


@pytest.fixture
def examples(tmp_path) -> list[Path]:
    files = []
    for i, code in enumerate(re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)):
        files.append(tmp_path / f"example{i}.py")
        files[-1].write_text(code, encoding="utf-8")
    return files


def test_the_first_example_leaves_holes_on_the_left(examples):
    names = runpy.run_path(str(examples[0]))
    assert names["holes"][..., :2].all() and not names["holes"][..., 2:].any()


def test_the_second_example_finds_the_flow(examples):
    names = runpy.run_path(str(examples[1]))
    assert names["shift"].flatten().tolist() == pytest.approx([5, -2], abs=0.1)
