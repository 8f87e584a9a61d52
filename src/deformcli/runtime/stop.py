"""Being asked to stop: SIGTERM, Ctrl-C, and the hours a run may take."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def asked_to_stop(told: str, *, in_logs: bool = False) -> Iterator[threading.Event]:
    """An event that the first Ctrl-C or SIGTERM sets, so that nothing is left half done; the second interrupts at once.

    Signals that are ignored stay so, and where this is not the main thread none is caught. `told`: what a terminal is
    told at the first; and stderr where it is none, if `in_logs`.
    """
    asked = threading.Event()

    def note(number: int, frame: object) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()
        if told and (in_logs or sys.stderr.isatty()):
            with suppress(OSError):  # by the system itself: the program may be in the middle of a line
                os.write(2, f"\n{told}\n".encode())

    caught = SIGNALS if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.getsignal(number) for number in caught if signal.getsignal(number) is not signal.SIG_IGN}
    try:
        for number in before:
            signal.signal(number, note)
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore_signals(_: object = None) -> None:
    """In a process that works for another: the other one ends it."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def time_limit(hours: float) -> Callable[[], bool]:
    """Whether so many hours have passed since now; never for 0."""
    end = time.monotonic() + hours * 3600
    return lambda: hours > 0 and time.monotonic() >= end
