"""One item: its picture read, and what became of it written."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import count, dropwhile, takewhile
from pathlib import Path

from deformcli.errors import DeformError, MissingExtraError, UsageError, debugging, one_line
from deformcli.images import Picture, can_hold, decode_frames, decode_image, encode_frames, encode_image, file_bytes
from deformcli.images.formats import WRITABLE, writable
from deformcli.options import BatchOptions
from deformcli.runtime.storage import write_atomic, write_new, writing

from .job import STDIO, Done, Item, Job, Output, Work
from .plan import real, stdin_bytes
from .report import Outcome, failure, outcome


def read(item: Item, job: Job, options: BatchOptions) -> Work | Outcome:
    """Read a picture and what belongs to it."""
    start = time.perf_counter()
    try:
        frames = [Work(item, picture) for picture in _pictures(item.source, options)]
        for frame in frames:
            frame.found = job.prepare(item.source, frame.picture)
        work, work.further = frames[0], frames[1:]
    except MissingExtraError as error:
        if str(item.source) in (options.inputs or ()) or options.files_from:  # it was asked for by its name
            return failure(item, error)
        return outcome(item, "skipped", notes=(f"{error.cause}: {error.remedy}",))
    except Exception as error:
        return failure(item, refusal(error))
    work.seconds = time.perf_counter() - start
    return work


def _pictures(source: Path, options: BatchOptions) -> list[Picture]:
    data, name = (stdin_bytes(), "stdin") if source == STDIO else (file_bytes(source), str(source))
    most, truncated = options.max_pixels, options.truncated == "keep"
    if options.frame == "all":
        return decode_frames(data, name, max_pixels=most, truncated=truncated)
    frame = int(options.frame) if options.frame else None
    return [decode_image(data, name, max_pixels=most, frame=frame, truncated=truncated)]


def write(work: Work, result: Done, options: BatchOptions, planned: frozenset[Path]) -> Outcome:
    """Write what became of a picture: all its files, or none where one is there already and --exists minds it.

    `planned` is where none of its further files may be: what other pictures become, and what is read.
    """
    start, item = time.perf_counter(), work.item
    try:
        # The target comes last: where it is, a rerun takes the item as done.
        outputs = sorted(result.outputs, key=lambda output: output.path is None)
        files = {
            part.path or item.target: _encoded(part, work, options)
            for output in outputs
            for part in _parts(output, work, options)
        }
        paths = _put(files, item, planned)
    except _ThereAlready as there:
        return outcome(item, "skipped", notes=(str(there),), seconds=round(work.seconds, 3))
    except BrokenPipeError:  # the reader of stdout is gone
        raise
    except Exception as error:
        return failure(item, refusal(error))
    older = [f"{path} is of an earlier run" for path in _older(paths, planned)] if result.numbered else []
    seconds = round(work.seconds + time.perf_counter() - start, 3)
    item = replace(item, target=paths[-1])
    read_notes = [note for one in (work, *work.further) for note in one.picture.notes]
    notes = tuple(dict.fromkeys((*read_notes, *result.notes, *older)))
    return outcome(item, "done", outputs=tuple(map(str, paths)), seconds=seconds, notes=notes)


class _ThereAlready(Exception):
    """A file of an item is there, and with it the item counts as done."""


def _put(files: dict[Path, bytes], item: Item, planned: frozenset[Path]) -> list[Path]:
    """Write all the files of an item, and return where they went."""
    to_stdout = files.pop(STDIO, None)
    places = _placed(files, item, planned)
    if to_stdout is not None:
        with writing("stdout"):
            sys.stdout.buffer.write(to_stdout)
            sys.stdout.buffer.flush()
        places.append(STDIO)
    return places


def _placed(files: dict[Path, bytes], item: Item, planned: frozenset[Path]) -> list[Path]:
    for places in _names([*files], item):
        if taken := next((path for path in places if path != item.target and real(path) in planned), None):
            cause, remedy = f"{taken} is an input, or what another picture becomes", "choose another --suffix or folder"
            continue
        named = dict(zip(places, files.values(), strict=True))
        if item.repeatable and all(path.is_file() and path.read_bytes() == data for path, data in named.items()):
            return places
        there = _write_all(named, new=item.exists != "overwrite")
        if there is None:
            return places
        if item.exists == "skip" and not there.is_dir():
            raise _ThereAlready(f"{there} is there already")
        cause, remedy = f"{there} exists already", "choose another output, or --exists overwrite"
    raise UsageError(cause, remedy)


def _names(paths: list[Path], item: Item) -> Iterator[list[Path]]:
    """What the files of an item may be called: as they are meant, else numbered if --exists says so."""
    yield paths
    if item.exists == "rename":
        yield from ([item.numbered(path, number) for path in paths] for number in count(1))


def _write_all(files: dict[Path, bytes], *, new: bool) -> Path | None:
    """Write all the files; if they are to be `new`, all or none: then one that is there already is returned."""
    if new and (there := next(filter(os.path.lexists, files), None)):
        return there
    with ExitStack() as undo:
        for path, data in files.items():
            with writing(path):
                if not new:
                    write_atomic(path, data)
                elif write_new(path, data):
                    undo.callback(path.unlink, missing_ok=True)
                else:
                    return path
        undo.pop_all()
    return None


def _older(written: Sequence[Path], planned: frozenset[Path]) -> list[Path]:
    """Files numbered from where those of this run end, NAME-3 behind NAME and NAME-2."""
    target = written[-1]
    numbered = (target.with_stem(f"{target.stem}-{number}") for number in count(2))
    older = takewhile(os.path.lexists, dropwhile(written.__contains__, numbered))
    return [path for path in older if real(path) not in planned]


def _parts(output: Output, work: Work, options: BatchOptions) -> list[Output]:
    """The output, or one for each of its frames where no file of its format holds them."""
    frames = [output.picture, *output.further]
    if not output.further or can_hold(frames, _suffix(output, work, options)):
        return [output]
    return [Output(frame, work.beside(f"-{number}")) for number, frame in enumerate(frames, 1)]


def _suffix(output: Output, work: Work, options: BatchOptions) -> str:
    path = output.path or work.item.target
    if path != STDIO:
        return path.suffix
    formats = writable(frames=bool(output.further))
    own = next((suffix for suffix, kind in formats.items() if kind == output.picture.format), ".png")
    return own if options.format == "auto" else f".{options.format}"


def _encoded(output: Output, work: Work, options: BatchOptions) -> bytes:
    picture, suffix, source = output.picture, _suffix(output, work, options), work.item.source
    keep = options.metadata == "keep"
    if output.further or suffix.lower() not in WRITABLE:
        return encode_frames([picture, *output.further], suffix, quality=options.quality, metadata=keep)
    same = picture is work.picture and WRITABLE[suffix.lower()] == picture.format and source.is_file()
    if same and source != STDIO and keep and options.quality is None and options.frame is None:
        return source.read_bytes()
    return encode_image(picture, suffix, quality=options.quality, metadata=keep)


def refusal(error: Exception) -> DeformError:
    """The error as one that has a remedy and an exit code."""
    if debugging():
        traceback.print_exception(error)
    if isinstance(error, DeformError):
        return error
    return DeformError(f"unexpected {one_line(error)}", "run it again with DEFORM_DEBUG=1 to see where")
