"""Threads: with several, sums of floats differ from run to run on some machines."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def environment(tmp_path) -> dict[str, str]:
    """For a process of the tool that has the first-party plugins and no other."""
    from ..conftest import clean_environment

    return clean_environment(tmp_path) | {"DEFORM_LOAD_PLUGINS": "frontalize,inpaint,train,evaluate"}
