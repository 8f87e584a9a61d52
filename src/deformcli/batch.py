"""Many files through one function: plan every output before any work, run them one by one, report how each fared."""

from __future__ import annotations

import glob
import json
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Literal, TextIO

import typer

from .errors import DeformError, NothingToDoError, PartialError, UsageError, debugging, one_line
from .files import READABLE, WRITABLE, picture_format

Exists = Literal["error", "skip", "overwrite", "rename"]
OnError = Literal["continue", "stop"]
Status = Literal["done", "skipped", "failed", "planned"]


@dataclass(frozen=True)
class Item:
    """One file to make. `skipped`: the target is there already and stays."""

    source: Path
    target: Path
    skipped: bool = False


@dataclass(frozen=True)
class Outcome:
    """How one item fared; a line of the report file."""

    source: str
    target: str
    status: Status
    seconds: float = 0.0
    error: str = ""
    exit_code: int = 0


@dataclass
class Report:
    """The outcomes so far, in order."""

    outcomes: list[Outcome] = field(default_factory=list)

    def count(self, status: Status) -> int:
        """How many items have that status."""
        return sum(outcome.status == status for outcome in self.outcomes)


def plan(
    inputs: Sequence[str | Path], output: str | Path, *, recursive: bool = False, exists: Exists | None = None
) -> list[Item]:
    """Which file becomes which; reads no picture and writes nothing.

    Args:
        inputs: files, folders (their pictures; with `recursive` those below too) and glob patterns.
        output: for one file a file or a folder, otherwise a folder, where the tree below an input folder is kept.
            It is a folder where it is one, ends in '/', or must be one. Nothing below it is read as input.
        recursive: search the folders below input folders.
        exists: what to do where a target is there already; None: `error` for one file, else `skip`.

    Raises:
        UsageError: no such input, two inputs with one target, a target that is an input, or one that is there already.
        NothingToDoError: no input matches.
        DeformError: the output folder cannot be written.
    """
    single = len(inputs) == 1 and Path(inputs[0]).is_file()
    to_folder = Path(output).is_dir() or str(output).endswith(("/", os.sep)) or not single
    output = Path(output)
    if to_folder:
        pairs = [(source, output / _writable_name(name)) for source, name in _sources(inputs, output, recursive)]
        _check_folder(output)
    else:
        picture_format(output.suffix)
        pairs = [(Path(inputs[0]), output)]
    _check_collisions(pairs)
    items = _apply_exists(pairs, exists or ("error" if single else "skip"))
    for folder in {item.target.parent for item in items if not item.skipped}:
        check_writable(folder)
    return items


def run(
    items: Sequence[Item],
    process: Callable[[Item], None],
    *,
    on_error: OnError = "continue",
    dry_run: bool = False,
    report: str | Path | None = None,
    as_json: bool = False,
    progress: bool = True,
) -> Report:
    """Call `process` on every item that is not to be skipped; it reads the source and writes the target.

    Args:
        items: from `plan`.
        process: raises DeformError to say no; any other exception is that item's failure too.
        on_error: go on with the next item, or stop at the first failure.
        dry_run: only say what would be made.
        report: a file that gets one JSON line per item as it ends.
        as_json: write the outcomes to stdout as one JSON list at the end.
        progress: show a bar on stderr, where that is a terminal.

    Raises:
        PartialError: some items failed. DeformError: all did. With one item: what `process` raised.
    """
    done, errors = Report(), []
    with ExitStack() as stack:
        lines = stack.enter_context(_report_file(report))
        advance = stack.enter_context(_bar(len(items), progress))
        for item in items:
            outcome, error = _attempt(item, process, dry_run)
            done.outcomes.append(outcome)
            lines.write(json.dumps(asdict(outcome)) + "\n")
            advance()
            if dry_run and not as_json:
                typer.echo(f"{outcome.status}: {item.source} -> {item.target}", err=True)
            if error is not None:
                errors.append(error)
                if len(items) > 1:
                    typer.echo(f"failed: {item.source}: {outcome.error}", err=True)
                if on_error == "stop":
                    break
    if as_json:
        typer.echo(json.dumps([asdict(outcome) for outcome in done.outcomes], indent=2))
    if errors:
        raise _verdict(done, errors, len(items))
    return done


def _sources(inputs: Iterable[str | Path], output: Path, recursive: bool) -> list[tuple[Path, Path]]:
    """(file, its path below the input it came from), each file once."""
    found: dict[Path, tuple[Path, Path]] = {}
    for given in inputs:
        for source, name in _expand(Path(given), output, recursive):
            found.setdefault(source.resolve(), (source, name))
    if not found:
        cause = f"no picture in {', '.join(str(given) for given in inputs)}"
        raise NothingToDoError(cause, "check the names" if recursive else "check the names, or search below with -r")
    return list(found.values())


def _expand(given: Path, output: Path, recursive: bool) -> Iterator[tuple[Path, Path]]:
    if given.is_file():
        yield given, Path(given.name)
        return
    if given.is_dir():
        base, matches = given, given.rglob("*") if recursive else given.glob("*")
    elif glob.has_magic(str(given)):
        base = Path(*_until_magic(given))
        matches = (Path(match) for match in glob.iglob(str(given), recursive=True))
    else:
        raise UsageError(f"no such file or folder: {given}", "check the path")
    if given.is_dir() and output.resolve() == given.resolve():
        raise UsageError(f"{output} is the input and the output folder", "choose another output folder")
    # Results of an earlier run below the input are no input. Pictures below the output are, if asked for by name.
    results = output.resolve() if base.resolve() in output.resolve().parents else None
    for match in sorted(matches):
        name = match.relative_to(base)
        hidden = any(part.startswith(".") for part in name.parts)
        made = results is not None and results in match.resolve().parents
        if match.suffix.lower() in READABLE and not hidden and not made and match.is_file():
            yield match, name


def _until_magic(pattern: Path) -> Iterator[str]:
    for part in pattern.parts:
        if glob.has_magic(part):
            return
        yield part


def _writable_name(name: Path) -> Path:
    return name if name.suffix.lower() in WRITABLE else name.with_suffix(".png")


def _check_collisions(pairs: Sequence[tuple[Path, Path]]) -> None:
    sources = {source.resolve() for source, _ in pairs}
    owners: dict[Path, Path] = {}
    for source, target in pairs:
        if target.resolve() in sources:
            raise UsageError(f"{target} is an input and would be overwritten", "choose another output")
        if other := owners.get(target):
            raise UsageError(f"{other} and {source} would both become {target}", "put them through one at a time")
        owners[target] = source


def _apply_exists(pairs: Sequence[tuple[Path, Path]], exists: Exists) -> list[Item]:
    items = [Item(source, target) for source, target in pairs]
    there = {target for _, target in pairs if target.exists()}
    if folders := [target for target in there if target.is_dir()]:
        raise UsageError(f"{folders[0]} is a folder, a file of that name was to be written", "choose another output")
    if there and exists == "error":
        remedy = "choose another output, or --exists overwrite, skip or rename"
        raise UsageError(f"{min(there)} exists already" + f", {len(there)} in all" * (len(there) > 1), remedy)
    if exists == "skip":
        return [replace(item, skipped=item.target in there) for item in items]
    if exists == "rename":
        taken = {target for _, target in pairs}
        return [replace(item, target=_free(item.target, taken)) if item.target in there else item for item in items]
    return items


def _free(target: Path, taken: set[Path]) -> Path:
    """The first of name-1, name-2, ... that neither exists nor is planned; it is planned from now on."""
    names = (target.with_stem(f"{target.stem}-{number}") for number in count(1))
    free = next(name for name in names if not name.exists() and name not in taken)
    taken.add(free)
    return free


def _check_folder(output: Path) -> None:
    if output.exists() and not output.is_dir():
        raise UsageError(f"{output} is a file; several inputs need a folder", "choose a folder with -o")
    if output.suffix.lower() in WRITABLE and not output.exists():
        raise UsageError(f"{output} looks like a file; several inputs need a folder", "choose a folder with -o")


def check_writable(folder: Path) -> None:
    """Raise DeformError unless files can be written into `folder`, or into the parent it will be made in."""
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):  # permissions alone do not tell of read-only file systems
            pass
    except OSError as error:
        cause = f"the output folder {folder} cannot be written: {error.strerror or error}"
        raise DeformError(cause, "choose another output with -o") from error


def _attempt(item: Item, process: Callable[[Item], None], dry_run: bool) -> tuple[Outcome, Exception | None]:
    outcome = Outcome(str(item.source), str(item.target), "skipped" if item.skipped else "planned")
    if item.skipped or dry_run:
        return outcome, None
    start = time.perf_counter()
    try:
        process(item)
    except Exception as error:
        if debugging():
            traceback.print_exception(error)
        cause = one_line(error) if isinstance(error, DeformError) else f"unexpected {one_line(error)}"
        code = error.exit_code if isinstance(error, DeformError) else 1
        return replace(outcome, status="failed", error=cause, exit_code=code), error
    return replace(outcome, status="done", seconds=round(time.perf_counter() - start, 3)), None


def _verdict(done: Report, errors: Sequence[Exception], total: int) -> Exception:
    if total == 1:
        return errors[0]
    made = done.count("done")
    cause = f"{len(errors)} of {total} failed, {made} done, {done.count('skipped')} skipped"
    remedy = "the lines above say why; a rerun takes up what is missing"
    return (PartialError if made else DeformError)(cause, remedy)


def _report_file(path: str | Path | None) -> TextIO:
    try:  # by line: an interrupted run leaves what it knows
        return open(os.devnull if path is None else path, "w", encoding="utf-8", buffering=1)
    except OSError as error:
        raise DeformError(f"the report {path} cannot be written: {error.strerror or error}", "move it") from error


@contextmanager
def _bar(total: int, wanted: bool) -> Iterator[Callable[[], object]]:
    if not wanted or total < 2 or not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    with Progress(BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=total)
        yield lambda: bar.advance(task)
