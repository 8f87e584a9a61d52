"""What a command does with pictures: the one thing a plugin writes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deformcli.errors import DeformError, UsageError

if TYPE_CHECKING:
    from deformcli.images import Picture

STDIO = Path("-")
"""The source that is stdin, the target that is stdout."""


@dataclass(frozen=True)
class Item:
    """One file to make."""

    source: Path
    target: Path
    skipped: bool = False
    """The target is there already and stays."""
    number: int = 0
    """Its place in the plan, from 0."""
    exists: str = "error"
    """What to do where one of its files is there when it is written: error, skip, overwrite, rename."""
    stem: str = ""
    """That of the target before `exists` renamed it."""
    repeatable: bool = False
    """It may have been made before: files with the very bytes it would write are its own."""

    @property
    def named(self) -> Path:
        """What further files are called after: the target, or the source of what goes to stdout."""
        if self.target != STDIO:
            return self.target
        return Path("stdin" if self.source == STDIO else self.source.name)

    def numbered(self, path: Path, number: int) -> Path:
        """Another name for one of the item's files: one called after the target is numbered as that would be."""
        end = path.stem.removeprefix(self.target.stem)
        called_after = path.stem.startswith(self.target.stem) and end[:1] in ("", "-")
        return path.with_stem(f"{self.stem}-{number}{end}" if called_after else f"{path.stem}-{number}")


@dataclass
class Work:
    """One picture to work on."""

    item: Item
    picture: Picture
    found: Any = None
    """What the job's `prepare` made."""
    further: Sequence[Work] = ()
    """The frames behind this one, with `--frame all`."""
    seconds: float = 0.0

    @property
    def pixels(self) -> int:
        """How many the picture has, or all of its frames."""
        return self.picture.size[0] * self.picture.size[1] + sum(work.pixels for work in self.further)

    def beside(self, tag: str) -> Path:
        """A further output, named like the item's target with `tag` at the end of the stem.

        Raises:
            UsageError: the target is stdout.
        """
        if self.item.target == STDIO:
            raise UsageError("several pictures do not fit into stdout", "choose a file or a folder with -o")
        return self.item.target.with_stem(self.item.target.stem + tag)


@dataclass(frozen=True)
class Output:
    """A picture to write. `path`: None is the item's target, which is written last; others must be nobody's target.

    `further` are the frames behind it: in the same file, or in numbered ones where the format holds no frames.
    """

    picture: Picture
    path: Path | None = None
    further: Sequence[Picture] = ()


@dataclass(frozen=True)
class Done:
    """A picture became files.

    The very picture that was read, not a copy, means "unchanged": its file is copied where the formats allow.
    """

    outputs: Sequence[Output]
    notes: Sequence[str] = ()
    """What the user should know of it, a line each."""
    numbered: bool = False
    """Whether there might have been more or fewer, named by `beside("-2")` and so on: older ones are told."""

    @classmethod
    def with_picture(cls, picture: Picture) -> Done:
        """The picture becomes one file, the item's target."""
        return cls([Output(picture)])


@dataclass(frozen=True)
class Skipped:
    """Nothing becomes of a picture, and that is well."""

    reason: str


@dataclass(frozen=True)
class Refused:
    """Nothing becomes of a picture, and that is a failure."""

    error: DeformError


Result = Done | Skipped | Refused


class Job:
    """A function from a batch of pictures to their results, with what it needs around it.

    Subclass it as a dataclass of what the user chose: it is pickled, before `load`, to other machines. The module is
    imported when the command runs, so that it may import what it likes, but torch is best left to `load`.
    """

    suffix: str = "-result"
    """What the name of an output beside its input has before the dot."""
    together: bool = True
    """Whether pictures gain by being worked on together; if not, they come one at a time, and Ctrl-C waits for one."""
    same_size: bool = True
    """Whether the pictures of a batch must have one width and height."""
    preview: Callable[[Work], Sequence[str]] | None = None
    """Lines that `--dry-run` says of a picture; without it, no picture is read and nothing is loaded."""

    def load(self) -> None:
        """Load networks: once in every process, before the first picture, not at all if there is none.

        An error ends the run with its own exit code.
        """

    def reads(self, source: Path) -> Sequence[Path]:
        """The files that are read for a picture besides it, such as its mask and weights: none is written over."""
        return ()

    def prepare(self, source: Path, picture: Picture) -> Any:
        """What belongs to one picture, such as its mask; called by the threads that read. A DeformError refuses it."""

    def __call__(self, works: Sequence[Work]) -> Sequence[Result]:
        """One result for each, in their order.

        What it raises makes deform try again: with half of the pictures if memory ran out, else with each alone.
        """
        raise NotImplementedError


@dataclass
class FunctionJob(Job):
    """The job that is a mere function from pictures of one size to as many pictures."""

    function: Callable[[Sequence[Picture]], Sequence[Picture]]

    def __call__(self, works: Sequence[Work]) -> Sequence[Result]:
        return [Done.with_picture(picture) for picture in self.function([work.picture for work in works])]
