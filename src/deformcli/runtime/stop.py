"""Being asked to stop: SIGTERM, Ctrl-C, and the hours a run may take."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stop_signals() -> Iterator[Callable[[], bool]]:
    """Whether SIGTERM or Ctrl-C has come: noted, so that no half-done step is saved. A second one acts as ever."""
    came: list[int] = []

    def note(number: int, _: object) -> None:
        came.append(number)
        signal.signal(number, previous[number])

    previous = {int(number): signal.signal(number, note) for number in STOP_SIGNALS}
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def time_limit(hours: float) -> Callable[[], bool]:
    """Whether so many hours have passed since now; never for 0."""
    end = time.monotonic() + hours * 3600
    return lambda: hours > 0 and time.monotonic() >= end
