"""The progress bar of commands that work through many things. Light: Rich comes when there is a bar to show."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from .tell import log


class Advance(Protocol):
    """Moves a bar by one; `words` stand behind it from then on."""

    def __call__(self, words: str = "") -> object: ...


def is_shown(wanted: bool) -> bool:
    """Whether there is a bar: if it is wanted, on a terminal, without -q."""
    return wanted and log.level <= logging.INFO and sys.stderr.isatty()


@contextmanager
def bar(total: int, done: int = 0, *, wanted: bool, what: str = "") -> Iterator[Advance]:
    """A bar on stderr, if `is_shown`; what is yielded moves it."""
    if not is_shown(wanted):
        yield lambda words="": None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.fields[words]}"))
    with Progress(*columns, console=Console(stderr=True)) as shown:
        task = shown.add_task(what, total=total, completed=done, words="")
        yield lambda words="": shown.update(task, advance=1, words=words)
