"""The log of a run: JSON lines as it goes, a CSV table of them, TensorBoard if asked for, and sheets of pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from deformcli.errors import UsageError
from deformcli.images.sheet import save_grid
from deformcli.runs import LOG, TABLE, forget_after, sample_sheet, write_about, write_table
from deformcli.runtime.storage import writing


class RunLog:
    """Writes into `out` from step `step` on; what an earlier process noted beyond it is forgotten.

    Raises DeformError where it cannot.
    """

    def __init__(self, out: Path, step: int, about: Mapping[str, Any], tensorboard: bool = False) -> None:
        self.out = out
        with writing(out):
            write_about(out, about)
            forget_after(out, step)
            self._lines = (out / LOG).open("a", buffering=1, encoding="utf-8")
        self._board = _board(out, step) if tensorboard else None

    def note(self, step: int, numbers: Mapping[str, float]) -> None:
        """One line of the log."""
        with writing(self.out / LOG):
            self._lines.write(json.dumps({"step": step, **numbers}) + "\n")
        if self._board is not None:
            for name, value in numbers.items():
                self._board.add_scalar(name, value, step)

    def show(self, step: int, columns: Mapping[str, Tensor]) -> None:
        """One sheet of samples."""
        path = self.out / sample_sheet(step)
        with writing(path):
            sheet = save_grid(path, columns)
        if self._board is not None:
            self._board.add_image("samples", sheet, step, dataformats="HWC")

    def tabulate(self) -> None:
        """Bring the table up to date."""
        with writing(self.out / TABLE):
            write_table(self.out)

    def close(self) -> None:
        self._lines.close()
        if self._board is not None:
            self._board.close()


def _board(out: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UsageError("TensorBoard is not installed", "pip install 'deformcli[tensorboard]'") from error
    return SummaryWriter(str(out), purge_step=step + 1)
