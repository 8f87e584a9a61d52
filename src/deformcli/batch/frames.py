"""Files of several frames: each is worked on, and what became of them is one result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .job import Done, Output, Refused, Result, Skipped


def joined(results: Sequence[Result]) -> Result:
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
