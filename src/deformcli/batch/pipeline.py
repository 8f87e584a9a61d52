"""The work in one process: threads read ahead and write behind the model, which gets batches of same-sized pictures.

Queues are bounded in pictures and in pixels, so that memory does not grow with the number of files.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import typer

from deformcli.errors import DeformError
from deformcli.images import pillow_limits
from deformcli.options import BatchOptions
from deformcli.runtime.memory import free_memory, is_out_of_memory

from .files import read, refusal, write
from .job import Done, Item, Job, Output, Refused, Result, Skipped, Work
from .report import Outcome, failure, outcome

AHEAD_PIXELS = 32_000_000
"""Pictures are read ahead, kept waiting for others of their size, and written behind, up to so many pixels each."""
BATCH_PIXELS = 16_000_000
"""A batch is full with so many pixels, however few pictures they are."""


def work_through(
    items: Sequence[Item],
    job: Job,
    options: BatchOptions,
    planned: frozenset[Path],
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[Outcome]:
    """Make every item, and yield its outcome as it ends; a loaded job is called in this thread.

    `planned` are the targets that no further output of an item may take. Once `stopped()`, the batch in hand is written
    and nothing further begun.
    """
    jobs = options.jobs or min(4, os.cpu_count() or 1)
    # After a failure that is to stop the run, nothing that was begun together with it should have to be finished.
    size = options.batch_size if job.together and options.on_error == "continue" else 1
    model = _Model(job, size)
    writing: deque[Future[Outcome]] = deque()
    with pillow_limits(options.max_pixels), ThreadPoolExecutor(jobs, "deform-io") as pool:
        entries = _read_ahead(items, lambda item: read(item, job, options), pool, size + jobs, stopped)
        for entry in _batches(entries, model, job.same_size):
            if isinstance(entry, Outcome):
                yield entry
                continue
            for work, result in zip(entry, model(entry), strict=True):
                match result:
                    case Refused(error):
                        yield failure(work.item, error)
                    case Skipped(reason):
                        yield outcome(work.item, "skipped", notes=(reason,), seconds=round(work.seconds, 3))
                    case _:
                        writing.append(pool.submit(write, work, result, options, planned))
            most = _at_once(len(entry) + jobs, max(work.pixels for work in entry))
            while len(writing) > most or (writing and writing[0].done()):
                yield writing.popleft().result()
        while writing:
            yield writing.popleft().result()


def _read_ahead(
    items: Iterable[Item],
    read_one: Callable[[Item], Work | Outcome],
    pool: ThreadPoolExecutor,
    most: int,
    stopped: Callable[[], bool],
) -> Iterator[Work | Outcome]:
    """What `read_one` makes of the items, in their order; `most` of them at once, fewer where pictures are large."""
    todo, reading, allowed = iter(items), deque[Future[Work | Outcome]](), min(most, 2)
    while not stopped():
        while len(reading) < allowed and (item := next(todo, None)):
            reading.append(pool.submit(read_one, item))
        if not reading:
            return
        entry = reading.popleft().result()
        if isinstance(entry, Work):
            allowed = _at_once(most, entry.pixels)
        yield entry
    for future in reading:
        future.cancel()


def _at_once(most: int, pixels: int) -> int:
    """How many pictures of so many pixels may be in memory on their way in or out, 1 to `most`."""
    return max(1, min(most, AHEAD_PIXELS // pixels))


def _batches(entries: Iterable[Work | Outcome], model: _Model, same_size: bool) -> Iterator[list[Work] | Outcome]:
    """Batches as large as the model takes them, and the outcomes among the entries as they come."""
    waiting: dict[object, list[Work]] = {}

    def pixels(works: Iterable[Work]) -> int:
        return sum(work.pixels for work in works)

    for entry in entries:
        if isinstance(entry, Outcome):
            yield entry
            continue
        key = entry.picture.size if same_size else None
        group = waiting.setdefault(key, [])
        group.append(entry)
        if len(group) >= model.most or pixels(group) >= BATCH_PIXELS:
            yield waiting.pop(key)
        elif sum(map(len, waiting.values())) >= 4 * model.most or sum(map(pixels, waiting.values())) >= AHEAD_PIXELS:
            yield waiting.pop(max(waiting, key=lambda key: len(waiting[key])))
    yield from waiting.values()


class _Model:
    """The job, called with `most` pictures at once, half as many after every time the memory ran out."""

    def __init__(self, job: Job, most: int) -> None:
        self.job, self.most = job, most

    def __call__(self, works: Sequence[Work]) -> list[Result]:
        """A result for each; a failure is that of its own picture alone."""
        results: list[Result] = []
        while len(results) < len(works):
            some = works[len(results) : len(results) + self.most]
            start = time.perf_counter()
            results += self._try(some)
            for work in some:
                work.seconds += (time.perf_counter() - start) / len(some)
        frames = [(first, *self(work.further)) for work, first in zip(works, results, strict=True)]
        return [_joined(each) if each[1:] else each[0] for each in frames]

    def _try(self, some: Sequence[Work]) -> Sequence[Result]:
        try:
            made = self.job(some)
            if len(made) != len(some):
                raise ValueError(f"{type(self.job).__name__} made {len(made)} results of {len(some)} pictures")
            return made
        except Exception as error:
            short = is_out_of_memory(error)
            if len(some) == 1:
                return [Refused(_no_memory(some[0]) if short else refusal(error))]
        if not short:  # whose fault it is shows when each is alone
            return [result for work in some for result in self._try([work])]
        self.most = len(some) // 2
        typer.echo(f"out of memory with {len(some)} pictures at once, going on with {self.most}", err=True)
        free_memory()
        return []


def _joined(results: Sequence[Result]) -> Result:
    """The result of a file of several frames: all of them in one output, or that of the first that did not become one.

    What a frame has beside its target gets its number.
    """
    done: list[Done] = []
    for number, result in enumerate(results, 1):
        match result:
            case Refused(error):
                return Refused(type(error)(f"frame {number}: {error.cause}", error.remedy))
            case Skipped(reason):
                return Skipped(f"frame {number}: {reason}")
            case Done():
                done.append(result)
    frames = [output.picture for one in done for output in one.outputs if output.path is None]
    beside = [
        replace(output, path=output.path.with_stem(f"{output.path.stem}-frame{number}"))
        for number, one in enumerate(done, 1)
        for output in one.outputs
        if output.path is not None
    ]
    target = [Output(frames[0], further=frames[1:])] if frames else []
    notes = dict.fromkeys(note for one in done for note in one.notes)
    return Done([*beside, *target], list(notes), numbered=any(one.numbered for one in done))


def _no_memory(work: Work) -> DeformError:
    free_memory()
    size = "{} x {}".format(*work.picture.size)
    return DeformError(f"out of memory with one picture of {size}", "make it smaller, or use another --device")


def preview(items: Sequence[Item], job: Job, options: BatchOptions) -> Iterator[Outcome]:
    """What a dry run says: what would be made, and what the job sees in the pictures if it is asked."""
    for item in items:
        entry = read(item, job, options) if job.preview else None
        if isinstance(entry, Outcome):
            yield entry
            continue
        planned = outcome(item, "planned")
        yield replace(planned, notes=tuple(job.preview(entry))) if job.preview and entry else planned
