"""One item: its picture read, and what became of it written."""

from __future__ import annotations

import sys
import time
import traceback
from pathlib import Path

from deformcli.errors import DeformError, UsageError, debugging, one_line
from deformcli.images import Picture, decode_image, encode_image, read_image
from deformcli.images.formats import WRITABLE
from deformcli.options import BatchOptions
from deformcli.runtime.storage import write_atomic, writing

from .job import Done, Job, Output, Work
from .plan import STDIO, Item, free
from .report import Outcome, failure, outcome


def read(item: Item, job: Job, options: BatchOptions) -> Work | Outcome:
    """Read a picture and what belongs to it."""
    start = time.perf_counter()
    try:
        work = Work(item, _picture(item.source, options))
        work.found = job.prepare(item.source, work.picture)
    except Exception as error:
        return failure(item, refusal(error))
    work.seconds = time.perf_counter() - start
    return work


def _picture(source: Path, options: BatchOptions) -> Picture:
    if source == STDIO:
        return decode_image(sys.stdin.buffer.read(), "stdin", max_pixels=options.max_pixels, frame=options.frame)
    return read_image(source, max_pixels=options.max_pixels, frame=options.frame)


def write(work: Work, result: Done, options: BatchOptions, planned: frozenset[Path]) -> Outcome:
    """Write what became of a picture: everything, or nothing of the file that fails."""
    start = time.perf_counter()
    try:
        files = [_write_output(output, work, options, planned) for output in sorted(result.outputs, key=_is_target)]
    except BrokenPipeError:  # the reader of stdout is gone
        raise
    except Exception as error:
        return failure(work.item, refusal(error))
    seconds = round(work.seconds + time.perf_counter() - start, 3)
    outputs, notes = tuple(filter(None, files)), tuple(result.notes)
    return outcome(work.item, "done", outputs=outputs, notes=notes, seconds=seconds)


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


def refusal(error: Exception) -> DeformError:
    """The error as one that has a remedy and an exit code."""
    if debugging():
        traceback.print_exception(error)
    if isinstance(error, DeformError):
        return error
    return DeformError(f"unexpected {one_line(error)}", "run it again with DEFORM_DEBUG=1 to see where")
