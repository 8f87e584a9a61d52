"""What a run leaves in its folder besides networks and pictures: run.json, log.jsonl, log.csv. Imports no torch."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deformcli.runtime.storage import write_atomic

Line = dict[str, Any]


def read_log(out: Path) -> list[Line]:
    """The lines of a run's log, oldest first; none if there is no log. A line cut off by a crash is left out."""
    path = out / "log.jsonl"
    lines = []
    for text in path.read_text("utf-8").splitlines() if path.exists() else ():
        try:
            lines.append(json.loads(text))
        except ValueError:
            continue
    return lines


@dataclass(frozen=True)
class Run:
    """A run's folder as it stands; `about` is empty for one that wrote no run.json."""

    folder: Path
    about: Mapping[str, Any]
    log: Sequence[Line]

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
        """The line of the least error on held-out items."""
        measured = [line for line in self.log if "held_out_mse" in line]
        return min(measured, key=lambda line: line["held_out_mse"], default=None)


def find_runs(folder: Path) -> list[Run]:
    """The run in a folder, or those in folders below it, by name."""
    found = [folder / "log.jsonl"] if (folder / "log.jsonl").exists() else sorted(folder.rglob("log.jsonl"))
    return [Run(path.parent, _read_about(path.parent), read_log(path.parent)) for path in found]


def _read_about(out: Path) -> dict[str, Any]:
    try:
        return json.loads((out / "run.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}


def forget_after(out: Path, step: int) -> None:
    """Drop from the log what a killed run did after the checkpoint of this step: it is done once more."""
    kept = [line for line in read_log(out) if line["step"] <= step]
    write_atomic(out / "log.jsonl", "".join(json.dumps(line) + "\n" for line in kept).encode())


def write_table(out: Path) -> None:
    """Write log.csv: the log with one column for each name that occurs in it."""
    lines = read_log(out)
    names = dict.fromkeys(name for line in lines for name in line)
    text = io.StringIO()
    table = csv.DictWriter(text, list(names))
    table.writeheader()
    table.writerows(lines)
    write_atomic(out / "log.csv", text.getvalue().encode())


def write_about(out: Path, about: Mapping[str, Any]) -> None:
    """Write run.json: what was asked for, with which versions."""
    write_atomic(out / "run.json", (json.dumps(about, indent=2) + "\n").encode())
