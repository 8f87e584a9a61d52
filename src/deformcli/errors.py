"""One class per way a user can be told "no", each with its exit code and two lines: the cause and the remedy."""

from __future__ import annotations

import os
from typing import ClassVar


def debugging() -> bool:
    """Whether DEFORM_DEBUG=1 asks for tracebacks."""
    return os.environ.get("DEFORM_DEBUG", "") not in ("", "0")


def one_line(error: BaseException) -> str:
    """An exception as one line: a DeformError's cause, else its class and message."""
    if isinstance(error, DeformError):
        return error.cause
    return " ".join(f"{type(error).__name__}: {error}".split()).rstrip(": ")


class DeformError(Exception):
    """Failed, nothing written.

    `cause` says what is wrong, `remedy` what to do about it; one line each.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, cause: str, remedy: str) -> None:
        super().__init__(cause)
        self.cause = " ".join(cause.split())
        self.remedy = " ".join(remedy.split())

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (self.cause, self.remedy)  # so that it passes between processes


class UsageError(DeformError):
    """Wrong options, configuration or input that cannot be read."""

    exit_code = 2


class MissingExtraError(UsageError):
    """What reads a file is not installed."""


class PartialError(DeformError):
    """Some items of a batch failed, the others are done."""

    exit_code = 3


class WeightsError(DeformError):
    """Weights that are not available, are damaged, or belong to something else."""

    exit_code = 4


class NothingToDoError(DeformError):
    """Nothing to work on: no face, an empty mask, no matching input."""

    exit_code = 5


class PluginError(DeformError):
    """A plugin failed to load and strictness was asked for."""

    exit_code = 6
