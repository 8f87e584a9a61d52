"""What commands say on stderr beside warnings and errors, which are always said: words, and a progress bar.

`log.info` is for summaries, which -q silences, `log.debug` for what -v adds; progress is shown where summaries are.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer

log = logging.getLogger("deformcli")


class _Stderr(logging.Handler):
    """Where stderr is by then, bare."""

    def emit(self, record: logging.LogRecord) -> None:
        typer.echo(record.getMessage(), err=True)


@contextmanager
def listening() -> Iterator[None]:
    """Summaries are said, and details are not: what a program does, and a library does not."""
    log.handlers, log.propagate = [_Stderr()], False
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.handlers, log.propagate = [], True
        log.setLevel(logging.NOTSET)


def listen_less(quiet: bool) -> None:
    """What -q means: no progress and no summaries."""
    log.setLevel(log.level + 10 * quiet)


def listen_more(verbose: bool) -> None:
    """What -v means: details too; with -q beside it, both mean nothing."""
    log.setLevel(log.level - 10 * verbose)


def is_shown(wanted: bool) -> bool:
    """Whether there is a bar: if it is wanted, on a terminal, without -q."""
    return wanted and log.level <= logging.INFO and sys.stderr.isatty()


@contextmanager
def bar(total: int, done: int = 0, *, wanted: bool) -> Iterator[Callable[..., object]]:
    """A bar on stderr, if `is_shown`; what is yielded moves it by one, and `words` stand behind it from then on."""
    if not is_shown(wanted):
        yield lambda words="": None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.fields[words]}"))
    with Progress(*columns, console=Console(stderr=True)) as shown:
        task = shown.add_task("", total=total, completed=done, words="")
        yield lambda words="": shown.update(task, advance=1, words=words)
