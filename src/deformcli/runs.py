"""A run: the folder that `deform train` writes. Every file name in it is here. Imports no torch."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

CHECKPOINT, BEST_CHECKPOINT = "checkpoint.safetensors", "checkpoint-best.safetensors"  # everything needed to go on
WEIGHTS, BEST_WEIGHTS = "weights.safetensors", "weights-best.safetensors"  # the generator, for use
ABOUT = "run.json"  # what was asked for, with which versions
LOG, TABLE = "log.jsonl", "log.csv"  # a line for every step that was noted; the same as a table
SAMPLES = "samples"  # sheets of pictures
NUMBERED = "checkpoint-[0-9]*.safetensors"  # older checkpoints

RUNS = Path("runs")
"""Where runs go that are not told where."""

NO_ROOM = "free some space or choose another --out; --resume auto goes on from the last whole checkpoint"
"""What to do where a run cannot write."""

Line = dict[str, Any]


def numbered_checkpoint(step: int) -> str:
    """The name of the checkpoint that is kept of a step."""
    return f"checkpoint-{step:07d}.safetensors"


def sample_sheet(step: int) -> str:
    """The name of a step's sheet of pictures."""
    return f"{SAMPLES}/{step:07d}.png"


@dataclass(frozen=True)
class Run:
    """A run's folder as it stands."""

    folder: Path

    @cached_property
    def about(self) -> Mapping[str, Any]:
        """What run.json says; empty where it is not there, or damaged."""
        try:
            about = json.loads((self.folder / ABOUT).read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return about if isinstance(about, dict) else {}

    @cached_property
    def log(self) -> list[Line]:
        """The lines of the log, oldest first; none if there is no log. A line cut off by a crash is left out."""
        path = self.folder / LOG
        lines = []
        for text in path.read_text("utf-8", "replace").splitlines() if path.exists() else ():
            try:
                line = json.loads(text)
            except ValueError:
                continue
            if isinstance(line, dict) and isinstance(line.get("step"), int):
                lines.append(line)
        return lines

    @property
    def weights(self) -> Path | None:
        """The file of its best weights, of its last where none were measured; None where there are none yet."""
        return next((path for name in (BEST_WEIGHTS, WEIGHTS) if (path := self.folder / name).is_file()), None)

    @property
    def recipe(self) -> str:
        return self.about.get("recipe", "?")

    @property
    def steps(self) -> int:
        """How many it is to have; 0 if that is not known."""
        return self.about.get("config", {}).get("training", {}).get("steps", 0)

    @property
    def step(self) -> int:
        return max((line["step"] for line in self.log), default=0)

    @property
    def losses(self) -> list[Line]:
        """The lines of the log that tell of a step."""
        return [line for line in self.log if "total" in line]

    @property
    def best(self) -> Line | None:
        """The line of the least error on the validation split."""
        measured = [line for line in self.log if "held_out_mse" in line]
        return min(measured, key=lambda line: line["held_out_mse"], default=None)


def new_run(recipe: str) -> Path:
    """Make a new folder RUNS/RECIPE-NUMBER, behind those that are there; whoever else makes one, it is nobody else's.

    Raises:
        OSError: it cannot be made.
    """
    number = max(_numbered(recipe), default=0)
    while True:
        number += 1
        with suppress(FileExistsError):
            folder = RUNS / f"{recipe}-{number}"
            folder.mkdir(parents=True)
            return folder


def last_run(recipe: str) -> Path | None:
    """The folder RUNS/RECIPE-NUMBER of the largest number; None if there is none."""
    found = _numbered(recipe)
    return found[max(found)] if found else None


def _numbered(recipe: str) -> dict[int, Path]:
    named = ((re.fullmatch(rf"{re.escape(recipe)}-(\d+)", path.name), path) for path in RUNS.glob("*") if path.is_dir())
    return {int(match[1]): path for match, path in named if match}


def find_runs(folder: Path) -> list[Run]:
    """The run in a folder, or those in folders below it, by name: a run has a log, or says what it is about."""
    if any((folder / name).is_file() for name in (ABOUT, LOG)):
        return [Run(folder)]
    return [Run(below) for below in sorted({path.parent for name in (ABOUT, LOG) for path in folder.rglob(name)})]
