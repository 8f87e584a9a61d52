"""How every item fared: lines in the order of the plan as they end, a summary, and the exit code."""

from __future__ import annotations

import json
import os
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, TextIO

import typer

from deformcli.errors import DeformError, PartialError, UsageError
from deformcli.options import BatchOptions
from deformcli.runtime.storage import writing
from deformcli.runtime.tell import bar, log

from .job import STDIO, Item
from .plan import real

Status = Literal["done", "skipped", "failed", "planned"]


@dataclass(frozen=True)
class Outcome:
    """How one item fared; a line of the report file."""

    number: int
    source: str
    target: str
    status: Status
    outputs: Sequence[str] = ()
    """The files that were written."""
    seconds: float = 0.0
    notes: Sequence[str] = ()
    """Why it was skipped; what a dry run found; what the user should know of what was made."""
    error: str = ""
    remedy: str = ""
    exit_code: int = 0

    def deform_error(self) -> DeformError:
        """What refused the item, as it was raised."""
        kinds: list[type[DeformError]] = [*DeformError.__subclasses__(), DeformError]
        kind = next(kind for kind in kinds if kind.exit_code == self.exit_code)
        return kind(self.error, self.remedy)


def outcome(item: Item, status: Status, **more: object) -> Outcome:
    """The outcome of an item."""
    return Outcome(item.number, str(item.source), str(item.target), status, **more)  # type: ignore[arg-type]


def failure(item: Item, error: DeformError) -> Outcome:
    """The outcome of an item that is refused."""
    return outcome(item, "failed", error=error.cause, remedy=error.remedy, exit_code=error.exit_code)


@dataclass
class Report:
    """Gets the outcomes as they come and tells them in the order of the plan."""

    total: int
    options: BatchOptions
    lines: TextIO
    advance: Callable[[], object]
    order: deque[int]
    """The items' numbers that are still to be told."""
    counts: Counter[str] = field(default_factory=Counter)
    outcomes: list[Outcome] = field(default_factory=list)
    """All of them, if they are to be written as JSON at the end."""
    first_failure: Outcome | None = None
    unwritten: DeformError | None = None
    """Why lines of the report file are missing."""
    there: int = 0
    """How many were skipped because their outputs are there already."""
    interrupted: bool = False
    to_stop: bool = False
    """Whether a failure is to stop the run."""
    started: float = field(default_factory=time.perf_counter)
    _waiting: dict[int, Outcome] = field(default_factory=dict)

    def add(self, new: Outcome) -> None:
        """Take an outcome; tell all whose turn has come."""
        self.advance()
        self.to_stop |= new.status == "failed" and self.options.on_error == "stop"
        self._waiting[new.number] = new
        while self.order and self.order[0] in self._waiting:
            self._tell(self._waiting.pop(self.order.popleft()))

    def close(self) -> None:
        """Tell what an interruption left waiting, and the summary; end the file."""
        for number in sorted(self._waiting):
            self._tell(self._waiting.pop(number))
        self._write({"summary": self.summary()})
        with suppress(OSError):  # told already
            self.lines.close()
        if self.options.as_json:
            typer.echo(json.dumps([asdict(told) for told in self.outcomes], indent=2))
        skipped = self.counts["skipped"]
        if self.there or self.total == skipped > 1:  # what is skipped otherwise has a line of its own
            there = f", {self.there} of them as the output is there already (see --exists)" if self.there else ""
            log.info("%s of %s skipped%s", skipped, self.total, there)
        if self.interrupted:
            typer.echo(f"interrupted: {self.counts['failed']} failed, {self.said()}", err=True)

    def summary(self) -> dict[str, object]:
        """The counts, the seconds, and the exit code so far."""
        counts = {status: self.counts[status] for status in ("done", "skipped", "failed", "planned")}
        code = 130 if self.interrupted else error.exit_code if (error := self.error()) else 0
        seconds = round(time.perf_counter() - self.started, 3)
        return {"total": self.total, **counts, "left": self.left(), "seconds": seconds, "exit_code": code}

    def error(self) -> DeformError | None:
        """What ends the run: of one item its own error, of several how many failed."""
        first, failed = self.first_failure, self.counts["failed"]
        if first is None:
            return self.unwritten
        if self.total == 1:
            return first.deform_error()
        return (PartialError if self.counts.total() > failed else DeformError)(
            f"{failed} of {self.total} failed, {self.said()}", "a rerun takes up what is missing"
        )

    def left(self) -> int:
        """How many items were not begun."""
        return self.total - self.counts.total()

    def said(self) -> str:
        """The counts in words, but for the failures."""
        said = f"{self.counts['done']} done, {self.counts['skipped']} skipped"
        return said + f", {self.left()} left" * (self.left() > 0)

    def _write(self, record: dict[str, object]) -> None:
        try:
            self.lines.write(json.dumps(record) + "\n")
        except OSError as error:  # a full disk: no reason to leave the pictures
            cause = f"the report {self.options.report} could not be written to its end: {error.strerror or error}"
            self.unwritten = PartialError(cause, "the pictures are there; make room for the report")

    def _tell(self, told: Outcome) -> None:
        self.counts[told.status] += 1
        self._write(asdict(told))
        if self.options.as_json:
            self.outcomes.append(told)
        there = told.status == "skipped" and not told.notes
        self.there += there
        if told.status == "done":
            log.debug("%s -> %s in %.2f s", told.source, told.target, told.seconds)
        chosen = self.options.output is not None or self.options.inputs == [str(STDIO)]
        if (there or told.status == "done") and not (chosen or self.options.as_json):
            typer.echo(os.fsencode(told.target))
        if told.status == "planned" and not self.options.as_json:
            typer.echo(f"planned: {told.source} -> {told.target}", err=True)
            for note in told.notes:
                typer.echo(f"  {note}", err=True)
        for note in told.notes if told.status == "done" else ():
            typer.echo(f"note: {_about(told, note)}", err=True)
        if told.status == "skipped" and told.notes:
            typer.echo(f"skipped: {_about(told, '; '.join(told.notes))}", err=True)
        if told.status == "failed":
            self.first_failure = self.first_failure or told
            if self.total > 1:
                typer.echo(f"failed: {_about(told, told.error)}", err=True)


def _about(told: Outcome, words: str) -> str:
    """The words with the name of the picture, once."""
    return words if told.source in words else f"{told.source}: {words}"


@contextmanager
def reporting(items: Sequence[Item], options: BatchOptions, read: frozenset[Path]) -> Iterator[Report]:
    """A report on the items, with its file and a progress bar; closed at the end, whatever happens.

    Raises:
        UsageError: the report would overwrite an output, or a file that is `read`.
        DeformError: its file cannot be written.
    """
    path = options.report
    if path and (real(path) in read or any(real(item.target) == real(path) for item in items)):
        raise UsageError(f"the report {path} would overwrite an input or an output", "choose another --report")
    with writing(f"the report {path}", "move it"):
        # By line: an interrupted run leaves what it knows.
        lines = open(path or os.devnull, "w", encoding="utf-8", buffering=1)  # noqa: SIM115 - the report closes it
    with bar(len(items), wanted=len(items) > 1 and not options.no_progress) as advance:
        report = Report(len(items), options, lines, advance, deque(item.number for item in items))
        try:
            yield report
        except KeyboardInterrupt:
            report.interrupted = True
            raise
        finally:
            report.close()
