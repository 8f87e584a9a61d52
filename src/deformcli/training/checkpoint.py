"""Checkpoints and exported weights: one safetensors file each, written beside its name and renamed into place."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from deformcli.errors import UsageError, WeightsError
from deformcli.runs import CHECKPOINT, NO_ROOM, NUMBERED
from deformcli.runtime.storage import renamed_into, writing
from deformcli.weights.networks import from_dict, opened


def save_also_as(path: Path, other: Path) -> None:
    """Let the file have another name beside it, whatever that was before: by a link, by a copy where there are none."""
    with writing(other, NO_ROOM), renamed_into(other) as temporary:
        try:
            os.link(path, temporary)
        except OSError:
            shutil.copyfile(path, temporary)


def keep_newest(out: Path, count: int) -> None:
    """Delete all numbered checkpoints but the `count` written last, and what a killed run was about to write."""
    numbered = sorted(out.glob(NUMBERED), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for path in (*numbered[count:], *out.glob(".*.part")):
        path.unlink(missing_ok=True)


def checkpoint_config(path: Path, kind: type) -> Any:
    """The config, of type `kind`, of the run that a checkpoint is of. Raises WeightsError if it is no checkpoint."""
    with opened(path) as (_, about):
        if "step" not in about:
            raise WeightsError(f"{path}: is no checkpoint", f"name a {CHECKPOINT}")
        return from_dict(kind, about["config"])


def optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """An optimizer's state as flat tensors: "0.exp_avg" and so on."""
    return {f"{i}.{key}": value for i, part in optimizer.state_dict()["state"].items() for key, value in part.items()}


def restore_optimizer(optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put back what `optimizer_tensors` took, into an optimizer over the same parameters."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    for parameter, moments in optimizer.state.items():  # a fused optimizer reads memory in the parameter's order
        for key, value in moments.items():
            if value.shape == parameter.shape:
                moments[key] = torch.empty_like(parameter, requires_grad=False).copy_(value)


def with_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}/{key}": value for key, value in tensors.items()}


def without_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    start = f"{prefix}/"
    return {key.removeprefix(start): value for key, value in tensors.items() if key.startswith(start)}


def find_checkpoint(out: Path, resume: str | None) -> Path | None:
    """The checkpoint to go on from: None starts anew. Raises UsageError where that would overwrite a run."""
    last = out / CHECKPOINT
    if resume is None:
        if out.is_dir() and any(out.iterdir()):
            raise UsageError(f"{out}: is not empty", "choose another --out, or go on with --resume auto")
        return None
    path = last if resume == "auto" else Path(resume)
    if resume == "auto" and not path.exists():
        return None
    return path
