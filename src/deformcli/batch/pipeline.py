"""The work in one process: threads read ahead and write behind the model, which gets batches of same-sized pictures.

Queues are bounded in pictures and in pixels, so that memory does not grow with the number of files.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import typer

from deformcli.errors import DeformError, UsageError, debugging, one_line
from deformcli.images import Picture, decode_image, encode_image, pillow_limits, read_image
from deformcli.images.formats import WRITABLE
from deformcli.options import BatchOptions
from deformcli.runtime.memory import free_memory, is_out_of_memory
from deformcli.runtime.storage import write_atomic, writing

from .job import Done, Job, Output, Refused, Result, Skipped, Work
from .plan import STDIO, Item, free
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
        read = _read_ahead(items, lambda item: _read(item, job, options), pool, size + jobs, stopped)
        for entry in _batches(read, model, job.same_size):
            if isinstance(entry, Outcome):
                yield entry
                continue
            for work, result in zip(entry, model(entry), strict=True):
                if isinstance(result, Refused):
                    yield failure(work.item, result.error)
                elif isinstance(result, Skipped):
                    yield outcome(work.item, "skipped", notes=(result.reason,), seconds=round(work.seconds, 3))
                else:
                    writing.append(pool.submit(_write, work, result, options, planned))
            most = _at_once(len(entry) + jobs, max(work.pixels for work in entry))
            while len(writing) > most or (writing and writing[0].done()):
                yield writing.popleft().result()
        while writing:
            yield writing.popleft().result()


def _read_ahead(
    items: Iterable[Item],
    read: Callable[[Item], Work | Outcome],
    pool: ThreadPoolExecutor,
    most: int,
    stopped: Callable[[], bool],
) -> Iterator[Work | Outcome]:
    """What `read` makes of the items, in their order; `most` of them at once, fewer where pictures are large."""
    todo, reading, allowed = iter(items), deque[Future[Work | Outcome]](), min(most, 2)
    while not stopped():
        while len(reading) < allowed and (item := next(todo, None)):
            reading.append(pool.submit(read, item))
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
        return results

    def _try(self, some: Sequence[Work]) -> Sequence[Result]:
        try:
            made = self.job(some)
            if len(made) != len(some):
                raise ValueError(f"{type(self.job).__name__} made {len(made)} results of {len(some)} pictures")
            return made
        except Exception as error:
            short = is_out_of_memory(error)
            if len(some) == 1:
                return [Refused(_no_memory(some[0]) if short else _refusal(error))]
        if not short:  # whose fault it is shows when each is alone
            return [result for work in some for result in self._try([work])]
        self.most = len(some) // 2
        typer.echo(f"out of memory with {len(some)} pictures at once, going on with {self.most}", err=True)
        free_memory()
        return []


def _no_memory(work: Work) -> DeformError:
    free_memory()
    size = "{} x {}".format(*work.picture.size)
    return DeformError(f"out of memory with one picture of {size}", "make it smaller, or use another --device")


def _refusal(error: Exception) -> DeformError:
    """The error as one that has a remedy and an exit code."""
    if debugging():
        traceback.print_exception(error)
    if isinstance(error, DeformError):
        return error
    return DeformError(f"unexpected {one_line(error)}", "run it again with DEFORM_DEBUG=1 to see where")


def _read(item: Item, job: Job, options: BatchOptions) -> Work | Outcome:
    """Read a picture and what belongs to it."""
    start = time.perf_counter()
    try:
        work = Work(item, _picture(item.source, options))
        work.found = job.prepare(item.source, work.picture)
    except Exception as error:
        return failure(item, _refusal(error))
    work.seconds = time.perf_counter() - start
    return work


def _picture(source: Path, options: BatchOptions) -> Picture:
    if source == STDIO:
        return decode_image(sys.stdin.buffer.read(), "stdin", max_pixels=options.max_pixels, frame=options.frame)
    return read_image(source, max_pixels=options.max_pixels, frame=options.frame)


def _write(work: Work, result: Done, options: BatchOptions, planned: frozenset[Path]) -> Outcome:
    """Write what became of a picture: everything, or nothing of the file that fails."""
    start = time.perf_counter()
    try:
        files = [_write_output(output, work, options, planned) for output in sorted(result.outputs, key=_is_target)]
    except BrokenPipeError:  # the reader of stdout is gone
        raise
    except Exception as error:
        return failure(work.item, _refusal(error))
    seconds = round(work.seconds + time.perf_counter() - start, 3)
    return outcome(work.item, "done", outputs=tuple(filter(None, files)), seconds=seconds)


def _is_target(output: Output) -> bool:
    """The target comes last: where it is, a rerun takes the item as done."""
    return output.path is None


def _write_output(output: Output, work: Work, options: BatchOptions, planned: frozenset[Path]) -> str:
    """Write one file; "" where it is there already and stays."""
    path = output.path or work.item.target
    if output.path is not None and path in planned:
        raise UsageError(f"{path} is what another picture becomes", "choose another --suffix or folder")
    if output.path is not None and path.exists() and options.exists != "overwrite":
        match options.exists:
            case "rename":
                path = free(path, set(planned))
            case "skip" | None:
                return ""
            case _:
                raise UsageError(f"{path} exists already", "choose another output, or --exists overwrite")
    with writing("stdout" if path == STDIO else path):
        data = _encoded(output.picture, path, work, options)
        if path == STDIO:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        else:
            write_atomic(path, data)
    return str(path)


def _encoded(picture: Picture, path: Path, work: Work, options: BatchOptions) -> bytes:
    suffix = path.suffix
    if path == STDIO:
        own = next((suffix for suffix, kind in WRITABLE.items() if kind == picture.format), ".png")
        suffix = own if options.format == "auto" else f".{options.format}"
    source = work.item.source
    same = picture is work.picture and WRITABLE.get(suffix.lower()) == picture.format and source.is_file()
    if same and source != STDIO and options.metadata == "keep" and options.quality is None and options.frame is None:
        return source.read_bytes()
    return encode_image(picture, suffix, quality=options.quality, metadata=options.metadata == "keep")


def preview(items: Sequence[Item], job: Job, options: BatchOptions) -> Iterator[Outcome]:
    """What a dry run says: what would be made, and what the job sees in the pictures if it is asked."""
    for item in items:
        entry = _read(item, job, options) if job.preview else None
        if isinstance(entry, Outcome):
            yield entry
            continue
        planned = outcome(item, "planned")
        yield replace(planned, notes=tuple(job.preview(entry))) if job.preview and entry else planned
