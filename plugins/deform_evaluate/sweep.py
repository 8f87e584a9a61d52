"""Trained runs side by side: what one setting does to the warped pictures w1..wK, as in Fig. 4.5 of the thesis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from deformcli.data import InOrder, to_device
from deformcli.errors import NothingToDoError, UsageError
from deformcli.images import to_uint8
from deformcli.recipes import Predictor, Recipe, open_items, override
from deformcli.runs import ABOUT, WEIGHTS, Run, find_runs

GAP, LABEL, HEAD = 4, 96, 14  # pixels between pictures, of the column of labels, of the row of names


def runs_with(kind: type[Recipe], assignment: str, folders: Sequence[Path]) -> dict[str, Run]:
    """ "key=a,b": "key = a" -> the run that was trained so, and likewise b.

    `folders` are runs, or hold runs. Raises UsageError for a key or value that is none, and without exactly one run.
    """
    key, _, values = assignment.partition("=")
    runs = [run for folder in folders for run in _runs_in(folder)]
    found = {}
    for text in values.split(","):
        wanted = _at(override(next(iter(kind.presets.values())), [f"{key}={text}"]), key)
        matching = [run for run in runs if _at(_config(run), key) == wanted]
        if len(matching) != 1:
            cause = f"{len(matching)} of these {len(runs)} runs were trained with {key}={text}"
            remedy = f"deform train {kind.predictor.task} --set {key}={text} makes one; name one for each value"
            raise UsageError(cause, remedy)
        found[f"{key.rpartition('.')[2]} = {text}"] = matching[0]
    return found


@torch.inference_mode()
def lay_out(
    kind: type[Recipe],
    runs: Mapping[str, Run],
    data: Sequence[str],
    split: str,
    changes: Sequence[str],
    items: int,
    device: torch.device,
) -> np.ndarray:
    """The sheet (H, W, 3) uint8: for every item a row per run, with the input, w1..wK, the output and the truth.

    Runs of fewer warps leave room at the right.
    """
    predictors = {label: kind.predictor.from_weights(run.folder / WEIGHTS, changes) for label, run in runs.items()}
    for predictor in predictors.values():
        predictor.generator.to(device)
    test = InOrder(open_items(kind, next(iter(predictors.values())).config, data, split), items, workers=0)
    first = next(iter(test), None)
    if first is None:
        raise NothingToDoError("there is no item to show", "name data that has some")
    batch = to_device(first, device)
    rows = {label: _columns(predictor, batch) for label, predictor in predictors.items()}  # each (N, columns, 3, S, S)
    most = max(row.shape[1] for row in rows.values())
    names = ["input", *(f"w{number}" for number in range(1, most - 2)), "output", "truth"]
    side = batch["image"].shape[-1]
    sheet = [_row("", names, [], most, side, HEAD)]
    sheet += [
        _row(label, [], row[item], most, side, side)
        for item in range(len(batch["image"]))
        for label, row in rows.items()
    ]
    return np.concatenate(sheet)


def _columns(predictor: Predictor, batch: dict[str, Tensor]) -> Tensor:
    pictures = predictor.pictures(batch)
    before, output, truth = (pictures[name][:, None] for name in ("input", "output", "target"))
    return torch.cat([before, predictor.warps(batch), output, truth], 1)  # (N, K + 3, 3, S, S)


def _row(
    label: str, names: Sequence[str], pictures: Sequence[Tensor], columns: int, side: int, height: int
) -> np.ndarray:
    """A label, then names or pictures in columns."""
    row = Image.new("RGB", (LABEL + columns * (side + GAP), height + GAP), "white")
    draw = ImageDraw.Draw(row)
    draw.text((GAP, height // 2), label, "black")
    for index, name in enumerate(names):
        draw.text((LABEL + index * (side + GAP) + GAP, 0), name, "black")
    for index, picture in enumerate(pictures):
        row.paste(Image.fromarray(to_uint8(picture)), (LABEL + index * (side + GAP), 0))
    return np.asarray(row)


def _runs_in(folder: Path) -> list[Run]:
    if runs := find_runs(folder):
        return runs
    raise UsageError(f"{folder}: no run of `deform train` there", f"name a folder with {ABOUT} and {WEIGHTS}")


def _config(run: Run) -> dict[str, Any]:
    config = run.about.get("config")
    if not isinstance(config, dict):
        raise UsageError(f"{run.folder / ABOUT}: not what `deform train` wrote there", "name another run")
    return config


def _at(config: Any, key: str) -> Any:
    """The value of "section.key", of a config or of the JSON of one; tuples are lists there. None if there is none."""
    for part in key.split("."):
        config = config.get(part) if isinstance(config, dict) else getattr(config, part)
    return list(config) if isinstance(config, tuple) else config
