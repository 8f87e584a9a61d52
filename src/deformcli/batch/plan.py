"""Which file becomes which: found, named, checked for collisions and for what is there already, before any work."""

from __future__ import annotations

import codecs
import fnmatch
import glob
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

from deformcli.errors import NothingToDoError, UsageError, one_line
from deformcli.images.formats import READABLE, WRITABLE, picture_format, writable
from deformcli.options import BatchOptions
from deformcli.runtime.storage import writing

from .job import STDIO, Item

_MARKS = {codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32"}
_MARKS |= {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}  # after those that begin like them


def with_output(options: BatchOptions, suffix: str) -> BatchOptions:
    """The options with an output if they have none: one file becomes another beside it, stdin becomes stdout.

    Its name has `suffix` before the dot, or that of the options. Raises UsageError if several pictures may come.
    """
    if options.output is not None:
        return options
    inputs = options.inputs or []
    several = any(os.path.isdir(one) or (glob.has_magic(one) and not os.path.exists(one)) for one in inputs)
    if several or len(inputs) > 1 or options.files_from:
        raise UsageError("what becomes of a folder or of several pictures needs a place", "choose a folder with -o")
    if not inputs or inputs == [str(STDIO)]:
        return replace(options, output=str(STDIO))
    beside = _target_name(Path(inputs[0]), replace(options, suffix=options.suffix or suffix))
    return replace(options, output=str(beside))


def plan(options: BatchOptions, reads: Callable[[Path], Sequence[Path]] = lambda source: ()) -> list[Item]:
    """Which file becomes which, for options `with_output`; reads no picture and writes nothing.

    Files in folders are pictures by their suffix, or by `include`. A name with *, ? or [ is a pattern if no file is
    called so. A pattern that nothing matches among other inputs, or a file that `files_from` names and that is not
    there, is an item all the same, and fails when its turn comes. The tree below an input folder is kept in the output
    folder, and so is the path of a file that `files_from` names relative to the current folder. Nothing below the
    output folder is read as input, and no output is a file that `reads` names for one of the inputs. Of one file the
    output is a folder if it is one or ends in '/'.

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
        return [Item(inputs[0][0], output, exists=options.exists or "error")]
    if output.is_dir() or options.output.endswith(("/", os.sep)) or not single:
        pairs = [(source, output / _target_name(name, options)) for source, name in _sources(inputs, options)]
        _check_folder(output)
    else:
        picture_format(output.suffix, frames=options.frame == "all")
        pairs = [(inputs[0][0], output)]
    _check_collisions(pairs, files_read([source for source, _ in pairs], options, reads))
    exists = options.exists or ("error" if single else "skip")
    items = [
        Item(source, target, number=number, exists=exists, stem=target.stem)
        for number, (source, target) in enumerate(pairs)
    ]
    items = _apply_exists(_shard(items, options.shard), exists)
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
        data = stdin_bytes() if stdin else Path(options.files_from).read_bytes()
        lines = _lines(data)
    except OSError as error:
        cause = f"the list {options.files_from} cannot be read: {error.strerror or error}"
        raise UsageError(cause, "check the path") from error
    except UnicodeError as error:
        raise UsageError(f"the list {options.files_from} is no text: {one_line(error)}", "save it as UTF-8") from error
    return [(Path(os.fsdecode(line)), True) for line in lines if line.strip()]


def _lines(data: bytes) -> list[bytes]:
    """The names in a list, as the file system has them. Raises UnicodeError if it is UTF-16 that does not say so."""
    data = data.removeprefix(codecs.BOM_UTF8)
    if encoding := next((_MARKS[mark] for mark in _MARKS if data.startswith(mark)), None):
        data = os.fsencode(data.decode(encoding))
    if b"\0" not in data:
        return data.splitlines()
    names = data.split(b"\0")
    if any(not name.strip(b"\r\n") for name in names if name) or max(map(len, names)) == 1:
        raise UnicodeError("UTF-16 without a mark of its byte order")
    return names


def stdin_bytes() -> bytes:
    """All of stdin. Raises UsageError if it is closed."""
    if sys.stdin is None:
        raise UsageError("stdin is closed", "send something into it, or name a file")
    return sys.stdin.buffer.read()


def _sources(inputs: Iterable[tuple[Path, bool]], options: BatchOptions) -> list[tuple[Path, Path]]:
    """(file, its path below the input it came from), each file once."""
    found: dict[Path, tuple[Path, Path]] = {}
    for given, keep in inputs:
        for source, name in _expand(given, options, keep):
            found.setdefault(real(source), (source, name))
    if not options.files_from and not any(source == STDIO or os.path.lexists(source) for source, _ in found.values()):
        cause = f"no picture in {', '.join(str(given) for given, _ in inputs)}"
        remedy = "check the names" if options.recursive else "check the names, or search below with -r"
        raise NothingToDoError(cause, remedy)
    return list(found.values())


def _expand(given: Path, options: BatchOptions, keep: bool) -> Iterator[tuple[Path, Path]]:
    if given == STDIO:
        yield given, Path("stdin.png")
        return
    is_folder = os.path.isdir(given)  # `Path.is_dir` raises where a name is too long
    base = given if is_folder else _until_magic(given)
    matches = _walk(given, options.recursive) if is_folder else [] if _is_file(given) else _matches(base, given)
    if not is_folder and not matches:  # a file, or a name that fails when its turn comes
        if not (_is_file(given) or keep or glob.has_magic(str(given))):
            raise UsageError(f"no such file or folder: {given}", "check the path")
        kept = keep and not given.is_absolute() and ".." not in given.parts
        yield given, given if kept else Path(given.name)
        return
    output = real(str(options.output))
    if is_folder and output == real(given) and not options.suffix:
        raise UsageError(f"{given} is the input and the output folder", "choose another folder, or use --suffix")
    # Results of an earlier run are no input, wherever links lead. Pictures below the output are, if asked for by name.
    top = real(base)
    below = output == top or output in top.parents
    for match in matches:
        name = match.relative_to(base)
        made = not below and output in real(match).parents
        made |= bool(options.suffix) and output == top and match.stem.endswith(options.suffix)
        if _wanted(name, options) and not made and match.is_file():
            yield match, name


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
            cause = f"{folder} cannot be read: {error.strerror or error}"
            raise UsageError(cause, "leave it out, or make it") from error
        for entry in entries:
            if not entry.is_dir():
                found.append(entry)
            elif recursive and not entry.name.startswith("."):
                (links if entry.is_symlink() else folders).append(entry)
    return sorted(found)


def _until_magic(pattern: Path) -> Path:
    """The part of a pattern that is a path: a folder whose own name has brackets is one."""
    there = Path()
    for part in pattern.parts:
        if glob.has_magic(part) and not os.path.isdir(there / part):
            break
        there /= part
    return there


def _matches(base: Path, pattern: Path) -> list[Path]:
    """What matches a pattern that begins with the path `base`; nothing matches what is none."""
    try:
        return sorted(base.glob(str(pattern.relative_to(base)))) if base != pattern else []
    except ValueError:  # such as **.png
        return []


def _wanted(name: Path, options: BatchOptions) -> bool:
    """Whether a file in a folder is asked for: not hidden, a picture by its suffix or by `include`, not excluded."""

    def matches(patterns: Iterable[str]) -> bool:
        return any(fnmatch.fnmatch(text, pattern) for pattern in patterns for text in (name.name, name.as_posix()))

    if any(part.startswith(".") for part in name.parts) or matches(options.exclude or ()):
        return False
    return matches(options.include) if options.include else name.suffix.lower() in READABLE


def _target_name(name: Path, options: BatchOptions) -> Path:
    if "/" in options.suffix or os.sep in options.suffix:
        raise UsageError(f"--suffix {options.suffix}: not a part of a name", "choose another folder with -o")
    ending = name.suffix if name.suffix.lower() in writable(frames=options.frame == "all") else ".png"
    if options.format != "auto":
        ending = f".{options.format}"
    return name.with_name(f"{name.stem}{options.suffix}{ending}")


def files_read(
    sources: Sequence[Path], options: BatchOptions, reads: Callable[[Path], Sequence[Path]]
) -> frozenset[Path]:
    """Where the inputs are, their list, and what `reads` names for each of them."""
    lists = [Path(options.files_from)] if options.files_from else []
    return frozenset(map(real, {*sources, *lists, *(path for source in sources for path in reads(source))}))


def _check_collisions(pairs: Sequence[tuple[Path, Path]], read: frozenset[Path]) -> None:
    owners: dict[Path, Path] = {}
    for source, target in pairs:
        if real(target) in read:
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
    there = {item.target for item in items if os.path.lexists(item.target)}  # no error where a name is too long
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
    chosen = next(name for name in names if not os.path.lexists(name) and name not in taken)
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
    with writing(f"the output folder {folder}", "choose another output with -o"):
        tempfile.TemporaryFile(dir=existing).close()  # permissions alone do not tell of read-only file systems
