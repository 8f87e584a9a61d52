"""Checkpoints and exported weights: one safetensors file each, written beside its name and renamed into place."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.optim import Optimizer

from deformcli.errors import UsageError, WeightsError
from deformcli.files import beside, write_atomic

from .runs import written
from .settings import from_dict

FORMAT = "deform-1"  # the one key of a file's metadata; two would come out in any order


def save_tensors(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Write tensors and a JSON description atomically; a crash leaves the old file or the new one, never half.

    Raises DeformError if there is no room.
    """
    contiguous = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    with written(path):
        write_atomic(path, save(contiguous, {FORMAT: json.dumps(about)}))


def save_also_as(path: Path, other: Path) -> None:
    """Let the file have another name beside it, whatever that was before: by a link, by a copy where there are none."""
    temporary = beside(other)
    try:
        with written(other):
            try:
                os.link(path, temporary)
            except OSError:
                shutil.copyfile(path, temporary)
            os.replace(temporary, other)
    finally:
        temporary.unlink(missing_ok=True)  # it is still there if both were one file already


def keep_newest(out: Path, count: int) -> None:
    """Delete all numbered checkpoints but the `count` written last, and what a killed run was about to write."""
    numbered = sorted(out.glob("checkpoint-[0-9]*.safetensors"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for path in (*numbered[count:], *out.glob(".*.part")):
        path.unlink(missing_ok=True)


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read back what `save_tensors` wrote. Raises WeightsError if it is missing, damaged or of another kind."""
    with _opened(path) as (file, about):
        return {key: file.get_tensor(key) for key in file.keys()}, about  # noqa: SIM118 - not a mapping


def checkpoint_config(path: Path, kind: type) -> Any:
    """The config, of type `kind`, of the run that a checkpoint is of. Raises WeightsError if it is no checkpoint."""
    with _opened(path) as (_, about):
        if "step" not in about:
            raise WeightsError(f"{path}: is no checkpoint", "name a checkpoint.safetensors")
        return from_dict(kind, about["config"])


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, dict[str, Any]]]:
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            if FORMAT not in metadata:
                raise WeightsError(f"{path}: holds no deform network", "name a .safetensors file written by deform")
            yield file, json.loads(metadata[FORMAT])
    except (OSError, SafetensorError) as error:
        raise WeightsError(
            f"{path}: not a weights file ({error})", "name a .safetensors file written by deform"
        ) from error


def export_generator(path: Path, generator: nn.Module, task: str, config: Mapping[str, Any], steps: int) -> None:
    """Write a generator for use: float16, its config and task beside the tensors."""
    state = {k: v.half() if v.is_floating_point() else v for k, v in generator.state_dict().items()}
    save_tensors(path, state, {"task": task, "config": dict(config), "steps": steps})


def load_generator(path: Path, task: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """State (float32) and config of an exported generator. Raises WeightsError if it is none, or of another task."""
    tensors, about = load_tensors(path)
    if "step" in about:
        raise WeightsError(f"{path}: is a checkpoint to go on from", "use the weights.safetensors beside it")
    if about.get("task") != task or "config" not in about:
        raise WeightsError(f"{path}: is a network for {about.get('task')}, not {task}", f"use weights of {task}")
    return {k: v.float() if v.is_floating_point() else v for k, v in tensors.items()}, about["config"]


def fill_network(network: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    """Load a state dict. Raises WeightsError naming the file if it does not fit the architecture."""
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise WeightsError(f"{path}: does not fit the network ({reason})", "it belongs to another version") from error


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
    last = out / "checkpoint.safetensors"
    if resume is None:
        if out.is_dir() and any(out.iterdir()):
            raise UsageError(f"{out}: is not empty", "choose another --out, or go on with --resume auto")
        return None
    path = last if resume == "auto" else Path(resume)
    if resume == "auto" and not path.exists():
        return None
    return path
