"""The log of a run: JSON lines as it goes, a CSV table of them, TensorBoard if asked for, and sheets of pictures."""

from __future__ import annotations

import csv
import io
import json
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from deformcli.data.loading import Batch
from deformcli.errors import UsageError
from deformcli.images import to_uint8, write_image
from deformcli.runs import ABOUT, LOG, NO_ROOM, TABLE, Run, sample_sheet
from deformcli.runtime.storage import write_atomic, writing


class RunLog:
    """Writes into `out` from step `step` on; what a killed run noted beyond it is forgotten, and done once more.

    Raises DeformError where it cannot.
    """

    def __init__(self, out: Path, step: int, about: Mapping[str, Any], tensorboard: bool = False) -> None:
        self.out = out
        board = _tensorboard() if tensorboard else None  # before anything is written
        with writing(out, NO_ROOM):
            write_atomic(out / ABOUT, (json.dumps(about, indent=2) + "\n").encode())
            kept = [json.dumps(line) + "\n" for line in Run(out).log if line["step"] <= step]
            write_atomic(out / LOG, "".join(kept).encode())
            self._lines = (out / LOG).open("a", buffering=1, encoding="utf-8")
        self._board = board(str(out), purge_step=step + 1) if board else None

    def note(self, step: int, numbers: Mapping[str, float]) -> None:
        """One line of the log."""
        with writing(self.out / LOG, NO_ROOM):
            self._lines.write(json.dumps({"step": step, **numbers}) + "\n")
        if self._board is not None:
            for name, value in numbers.items():
                self._board.add_scalar(name, value, step)

    def show(self, step: int, columns: Mapping[str, Tensor]) -> None:
        """One sheet of samples: columns (N, 3, S, S) in [-1, 1], by name, a row for each item."""
        sheet = to_uint8(torch.cat([torch.cat(list(column.float().cpu()), 1) for column in columns.values()], 2))
        path = self.out / sample_sheet(step)
        with writing(path, NO_ROOM):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_image(sheet, path)
        if self._board is not None:
            self._board.add_image("samples", sheet, step, dataformats="HWC")

    def tabulate(self) -> None:
        """Bring the table up to date: a column for each name that occurs in the log."""
        lines, text = Run(self.out).log, io.StringIO()
        table = csv.DictWriter(text, list(dict.fromkeys(name for line in lines for name in line)))
        table.writeheader()
        table.writerows(lines)
        with writing(self.out / TABLE, NO_ROOM):
            write_atomic(self.out / TABLE, text.getvalue().encode())

    def close(self) -> None:
        self._lines.close()
        if self._board is not None:
            self._board.close()


class Pace:
    """How fast the last `window` steps were."""

    def __init__(self, window: int) -> None:
        self.steps: deque[tuple[float, float]] = deque(maxlen=max(1, window))  # when a batch was asked for, and came

    def watch(self, source: Iterable[Batch]) -> Iterator[Batch]:
        """The batches of a source, on their way to a step."""
        asked = time.monotonic()
        for batch in source:
            self.steps.append((asked, time.monotonic()))
            yield batch
            asked = time.monotonic()

    def read(self, batch_size: int) -> dict[str, float]:
        """Images a second, and the share of the time that went by waiting for data."""
        total = time.monotonic() - self.steps[0][0]
        waited = sum(came - asked for asked, came in self.steps)
        pace = len(self.steps) * batch_size / total
        return {"images_per_second": round(pace, 2), "waiting": round(waited / total, 3)}


def _tensorboard() -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UsageError("TensorBoard is not installed", "pip install 'deformcli[tensorboard]'") from error
    return SummaryWriter
