"""Checkpoints and exported weights: one safetensors file each, written beside its name and renamed into place."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import typer
from torch import Tensor
from torch.optim import Optimizer

from deformcli.errors import UsageError, WeightsError, one_line
from deformcli.runs import ABOUT, BEST_CHECKPOINT, CHECKPOINT, LOG, NO_ROOM, NUMBERED, Run
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


def checkpoint_config(path: Path, task: str, kind: type) -> Any:
    """The config, of type `kind`, of the run that a checkpoint is of. Raises WeightsError if it is none of the task."""
    with opened(path) as (_, about):
        check_checkpoint(path, about, task)
        return from_dict(kind, about["config"])


def check_checkpoint(path: Path, about: Mapping[str, Any], task: str) -> None:
    """Raise WeightsError unless what a file says about itself is that of a checkpoint of the task."""
    if "step" not in about:
        raise WeightsError(f"{path}: is no checkpoint", f"name a {CHECKPOINT}")
    if about.get("task") != task:
        remedy = f"name a {CHECKPOINT} of {task}, or train {about.get('task')}"
        raise WeightsError(f"{path}: is no checkpoint of {task}, but of {about.get('task')}", remedy)


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
    """The checkpoint to go on from, in the folder `out`: None starts anew.

    Args:
        out: the run's folder.
        resume: a checkpoint's path; "auto": the newest whole one in `out`, if a run has begun there; None: none.

    Raises:
        UsageError: that would overwrite a run, or anything else.
    """
    if resume == "auto":
        return _newest(out)
    path = Path(resume) if resume else None
    if path is not None and path.is_dir():
        raise UsageError(f"{path}: is a folder", f"write --out {path} --resume auto")
    goes_on = path is not None and path.parent.resolve() == out.resolve() and (out / ABOUT).is_file()
    missing = path is not None and not path.exists()  # which is said when it is opened
    if not goes_on and not missing and _is_used(out):
        raise UsageError(f"{out}: is not empty", "choose another --out, or go on with what is there by --resume auto")
    return path


def _newest(out: Path) -> Path | None:
    steps = {}
    for path in (out / CHECKPOINT, *sorted(out.glob(NUMBERED)), out / BEST_CHECKPOINT):
        if path.exists():
            try:
                with opened(path) as (_, about):
                    steps[path] = about["step"]
            except (WeightsError, KeyError) as error:
                typer.echo(f"warning: {one_line(error)}; an older checkpoint is looked for", err=True)
    if not steps and (Run(out).log or any(out.glob("*.safetensors"))):
        raise UsageError(
            f"{out}: holds a run without a whole checkpoint", "choose another --out, or remove what is there"
        )
    return max(steps, key=steps.__getitem__, default=None)


def _is_used(out: Path) -> bool:
    """Whether there is anything but what a run that did not come to its first step has left."""
    return out.is_dir() and (any(path.name not in (ABOUT, LOG) for path in out.iterdir()) or bool(Run(out).log))
