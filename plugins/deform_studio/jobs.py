"""Long work: one thing at a time, told as it goes, and ended when the page that asked for it goes away or says so."""

from __future__ import annotations

import asyncio
import json
import threading
import traceback
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from starlette.requests import Request

from deformcli.errors import DeformError, debugging, one_line
from deformcli.runtime import free_memory, is_out_of_memory

TICK = 0.1  # seconds between looks at how far it is


class Cancelled(Exception):
    """Nobody waits for the result any more."""


class Progress:
    """How far a piece of work is; the work calls it, and is ended by what it raises."""

    def __init__(self) -> None:
        self.told: dict[str, Any] = {"words": "Getting ready"}
        self.cancelled = threading.Event()

    def __call__(self, share: float | None, words: str = "") -> None:
        """Say which share of the work is done, 0 to 1 (None: nobody knows), and what is going on.

        Raises:
            Cancelled: it is not wanted any more.
        """
        if self.cancelled.is_set():
            raise Cancelled
        self.told = {"share": share, "words": words or self.told["words"]}


Work = Callable[[Progress], dict[str, Any]]


class Jobs:
    """The thread that works. The networks use every core: two at once would both be late."""

    def __init__(self) -> None:
        self.thread = ThreadPoolExecutor(1, "deform-studio")
        self.running: set[Progress] = set()

    async def lines(self, request: Request, work: Work) -> AsyncIterator[bytes]:
        """Lines of JSON: {"share", "words"} while it goes on, then {"result"} or {"error"}."""
        progress = Progress()
        self.running.add(progress)
        future = asyncio.wrap_future(self.thread.submit(_end, work, progress))
        try:
            told = None
            while not future.done():
                if told != progress.told:
                    told = progress.told
                    yield _line(told)
                if await request.is_disconnected():
                    return
                await asyncio.wait([future], timeout=TICK)
            yield _line(future.result())
        finally:
            self.running.discard(progress)
            progress.cancelled.set()
            future.cancel()

    def prepare(self, work: Work) -> None:
        """Do something that nobody waits for, before what they ask for; what goes wrong shows when they ask."""
        progress = Progress()
        self.running.add(progress)
        self.thread.submit(_end, work, progress)

    def close(self) -> None:
        """End what is going on at its next step."""
        for progress in self.running:
            progress.cancelled.set()
        self.thread.shutdown(wait=False, cancel_futures=True)


def told_error(error: Exception) -> dict[str, str]:
    """An error as its two lines."""
    if debugging():
        traceback.print_exception(error)
    if isinstance(error, DeformError):
        return {"cause": error.cause, "remedy": error.remedy}
    if is_out_of_memory(error):
        free_memory()
        return {"cause": "out of memory", "remedy": "close other programs, or use a smaller photo"}
    return {"cause": f"unexpected {one_line(error)}", "remedy": "start it with DEFORM_DEBUG=1 to see where"}


def _end(work: Work, progress: Progress) -> dict[str, Any]:
    try:
        progress(None)
        return {"result": work(progress)}
    except Cancelled:
        return {"error": {"cause": "cancelled", "remedy": "ask for it again"}}
    except Exception as error:
        return {"error": told_error(error)}


def _line(record: dict[str, Any]) -> bytes:
    return json.dumps(record).encode() + b"\n"
