"""Which file becomes which: found, named, checked for collisions and for what is there already, before any work."""

from __future__ import annotations

import fnmatch
import glob
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from deformcli.errors import NothingToDoError, UsageError
from deformcli.images.formats import READABLE, WRITABLE, picture_format
from deformcli.options import BatchOptions
from deformcli.runtime.storage import writing

STDIO = Path("-")
"""The source that is stdin, the target that is stdout."""


@dataclass(frozen=True)
class Item:
    """One file to make. `skipped`: the target is there already and stays. `number`: its place in the plan, from 0."""

    source: Path
    target: Path
    skipped: bool = False
    number: int = 0


def with_output(options: BatchOptions, suffix: str) -> BatchOptions:
    """The options with an output if they have none: one file becomes another beside it, stdin becomes stdout.

    Its name has `suffix` before the dot, or that of the options. Raises UsageError if several pictures may come.
    """
    if options.output is not None:
        return options
    inputs = options.inputs or []
    if len(inputs) > 1 or options.files_from or any(os.path.isdir(given) or _is_pattern(given) for given in inputs):
        raise UsageError("what becomes of a folder or of several pictures needs a place", "choose a folder with -o")
    if not inputs or inputs == [str(STDIO)]:
        return replace(options, output=str(STDIO))
    beside = _target_name(Path(inputs[0]), replace(options, suffix=options.suffix or suffix))
    return replace(options, output=str(beside))


def plan(options: BatchOptions) -> list[Item]:
    """Which file becomes which, for options `with_output`; reads no picture and writes nothing.

    Files in folders are pictures by their suffix, or by `include`. A file that `files_from` names and that is not there
    is an item all the same, and fails when its turn comes. The tree below an input folder is kept in the output
    folder, and so is the path of a file that `files_from` names relative to the current folder. Nothing below the
    output folder is read as input. Of one file the output is a folder if it is one or ends in '/'.

    Raises:
        UsageError: no such input, two inputs with one target, a target that is an input, or one that is there already.
        NothingToDoError: no input matches.
        DeformError: the output folder cannot be written.
    """
    inputs = [*((Path(given), False) for given in options.inputs or ()), *_listed(options)]
    if not inputs:
        raise UsageError("no input", "name files or folders, or a list of them with --files-from")
    single = len(inputs) == 1 and not options.files_from and (inputs[0][0] == STDIO or _is_file(inputs[0][0]))
    assert options.output is not None
    output = Path(options.output)
    if output == STDIO:
        if not single:
            raise UsageError("several pictures do not fit into stdout", "choose a folder with -o")
        return [Item(inputs[0][0], output)]
    if output.is_dir() or options.output.endswith(("/", os.sep)) or not single:
        pairs = [(source, output / _target_name(name, options)) for source, name in _sources(inputs, options)]
        _check_folder(output)
    else:
        picture_format(output.suffix)
        pairs = [(inputs[0][0], output)]
    _check_collisions(pairs)
    items = [Item(source, target, number=number) for number, (source, target) in enumerate(pairs)]
    items = _apply_exists(_shard(items, options.shard), options.exists or ("error" if single else "skip"))
    for folder in {item.target.parent for item in items if not item.skipped}:
        check_writable(folder)
    return items


def _listed(options: BatchOptions) -> list[tuple[Path, bool]]:
    """What `files_from` lists, one a line or, as `find -print0` writes it, between NULs; True: its path is kept."""
    if options.files_from is None:
        return []
    stdin = options.files_from == "-"
    if stdin and "-" in (options.inputs or ()):
        raise UsageError("stdin is the picture and the list of files", "give one of them as a file")
    try:
        data = sys.stdin.buffer.read() if stdin else Path(options.files_from).read_bytes()
    except OSError as error:
        cause = f"the list {options.files_from} cannot be read: {error.strerror or error}"
        raise UsageError(cause, "check the path") from error
    lines = data.split(b"\0") if b"\0" in data else data.splitlines()
    return [(Path(os.fsdecode(line)), True) for line in lines if line.strip()]


def _sources(inputs: Iterable[tuple[Path, bool]], options: BatchOptions) -> list[tuple[Path, Path]]:
    """(file, its path below the input it came from), each file once."""
    found: dict[Path, tuple[Path, Path]] = {}
    for given, keep in inputs:
        for source, name in _expand(given, options, keep):
            found.setdefault(real(source), (source, name))
    if not found:
        cause = f"no picture in {', '.join(str(given) for given, _ in inputs)}"
        remedy = "check the names" if options.recursive else "check the names, or search below with -r"
        raise NothingToDoError(cause, remedy)
    return list(found.values())


def _expand(given: Path, options: BatchOptions, keep: bool) -> Iterator[tuple[Path, Path]]:
    if given == STDIO:
        yield given, Path("stdin.png")
        return
    if _is_file(given) or (keep and not os.path.isdir(given) and not glob.has_magic(str(given))):
        kept = keep and not given.is_absolute() and ".." not in given.parts
        yield given, given if kept else Path(given.name)
        return
    output = real(str(options.output))
    if os.path.isdir(given):  # `Path.is_dir` raises where a name is too long
        base, matches = given, _walk(given, options.recursive)
        if output == real(given) and not options.suffix:
            raise UsageError(f"{given} is the input and the output folder", "choose another folder, or use --suffix")
    elif glob.has_magic(str(given)):
        base = Path(*_until_magic(given))
        matches = sorted(base.glob(str(given.relative_to(base))))
    else:
        raise UsageError(f"no such file or folder: {given}", "check the path")
    # Results of an earlier run are no input, wherever links lead. Pictures below the output are, if asked for by name.
    top = real(base)
    below = output == top or output in top.parents
    for match in matches:
        name = match.relative_to(base)
        made = not below and output in real(match).parents
        made |= bool(options.suffix) and output == top and match.stem.endswith(options.suffix)
        if _wanted(name, options) and not made and match.is_file():
            yield match, name


def _is_pattern(given: str) -> bool:
    return glob.has_magic(given) and not os.path.exists(given)


def _is_file(given: Path) -> bool:
    """Pipes count, too: shells have them for `<(command)`."""
    return os.path.exists(given) and not os.path.isdir(given)


def _walk(top: Path, recursive: bool) -> list[Path]:
    """The files in a folder; with `recursive` those below it too. A folder that links lead to more than once, once."""
    found: list[Path] = []
    seen: set[Path] = set()
    folders, links = [top], list[Path]()
    while folders or links:
        folder = folders.pop() if folders else links.pop(0)  # where a folder is itself counts before links to it
        if (place := real(folder)) in seen:
            continue
        seen.add(place)
        try:
            entries = list(folder.iterdir())
        except OSError as error:
            raise UsageError(
                f"{folder} cannot be read: {error.strerror or error}", "leave it out, or make it"
            ) from error
        for entry in entries:
            if not entry.is_dir():
                found.append(entry)
            elif recursive and not entry.name.startswith("."):
                (links if entry.is_symlink() else folders).append(entry)
    return sorted(found)


def _until_magic(pattern: Path) -> Iterator[str]:
    for part in pattern.parts:
        if glob.has_magic(part):
            return
        yield part


def _wanted(name: Path, options: BatchOptions) -> bool:
    """Whether a file in a folder is asked for: not hidden, a picture by its suffix or by `include`, not excluded."""

    def matches(patterns: Iterable[str]) -> bool:
        return any(fnmatch.fnmatch(text, pattern) for pattern in patterns for text in (name.name, name.as_posix()))

    if any(part.startswith(".") for part in name.parts) or matches(options.exclude or ()):
        return False
    return matches(options.include) if options.include else name.suffix.lower() in READABLE


def _target_name(name: Path, options: BatchOptions) -> Path:
    ending = name.suffix if name.suffix.lower() in WRITABLE else ".png"
    if options.format != "auto":
        ending = f".{options.format}"
    return name.with_name(f"{name.stem}{options.suffix}{ending}")


def _check_collisions(pairs: Sequence[tuple[Path, Path]]) -> None:
    sources = {real(source) for source, _ in pairs}
    owners: dict[Path, Path] = {}
    for source, target in pairs:
        if real(target) in sources:
            raise UsageError(f"{target} is an input and would be overwritten", "choose another output")
        if other := owners.get(target):
            remedy = "put them through one at a time, or into folders of their own"
            raise UsageError(f"{other} and {source} would both become {target}", remedy)
        owners[target] = source


def _shard(items: list[Item], shard: str | None) -> list[Item]:
    if shard is None:
        return items
    part, _, parts = shard.partition("/")
    if not (part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts)):
        raise UsageError(f"--shard {shard}: not a part of a whole", "use 1/4, 2/4, 3/4 or 4/4 for four parts")
    return items[int(part) - 1 :: int(parts)]


def _apply_exists(items: list[Item], exists: str) -> list[Item]:
    there = {item.target for item in items if os.path.exists(item.target)}  # no error where a name is too long
    if folders := [target for target in there if target.is_dir()]:
        raise UsageError(f"{folders[0]} is a folder, a file of that name was to be written", "choose another output")
    if there and exists == "error":
        remedy = "choose another output, or --exists overwrite, skip or rename"
        raise UsageError(f"{min(there)} exists already" + f", {len(there)} in all" * (len(there) > 1), remedy)
    if exists == "skip":
        return [replace(item, skipped=item.target in there) for item in items]
    if exists == "rename":
        taken = {item.target for item in items}
        return [replace(item, target=free(item.target, taken)) if item.target in there else item for item in items]
    return items


def real(path: str | Path) -> Path:
    """The path without links; `Path.resolve` raises where they lead in circles."""
    return Path(os.path.realpath(path))


def free(target: Path, taken: set[Path]) -> Path:
    """The first of name-1, name-2, ... that neither exists nor is in `taken`, which gets it."""
    names = (target.with_stem(f"{target.stem}-{number}") for number in count(1))
    chosen = next(name for name in names if not name.exists() and name not in taken)
    taken.add(chosen)
    return chosen


def _check_folder(output: Path) -> None:
    if output.exists() and not output.is_dir():
        raise UsageError(f"{output} is a file; several inputs need a folder", "choose a folder with -o")
    if output.suffix.lower() in WRITABLE and not output.exists():
        raise UsageError(f"{output} looks like a file; several inputs need a folder", "choose a folder with -o")


def check_writable(folder: Path) -> None:
    """Raise DeformError unless files can be written into `folder`, or into the parent it will be made in."""
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    with (
        writing(f"the output folder {folder}", "choose another output with -o"),
        tempfile.TemporaryFile(dir=existing),  # permissions alone do not tell of read-only file systems
    ):
        pass
