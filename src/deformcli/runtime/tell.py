"""What commands say on stderr beside warnings and errors, which are always said.

`log.info` is for summaries, which -q silences, `log.debug` for what -v adds; progress is shown where summaries are.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
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
