"""Networks and their files: written for use, read back, and built as the file describes."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten
from typing import Any, get_type_hints

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from deformcli.errors import WeightsError, one_line
from deformcli.runs import NO_ROOM
from deformcli.runtime.storage import write_atomic, writing

from .store import FORMAT, resolve_weights


def save_tensors(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Write tensors and a JSON description atomically; a crash leaves the old file or the new one, never half.

    Raises DeformError if there is no room.
    """
    contiguous = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    with writing(path, NO_ROOM):
        write_atomic(path, save(contiguous, {FORMAT: json.dumps(about)}))


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read back what `save_tensors` wrote. Raises WeightsError if it is missing, damaged or of another kind."""
    with opened(path) as (file, about):
        return {key: file.get_tensor(key) for key in file.keys()}, about  # noqa: SIM118 - not a mapping


@contextmanager
def opened(path: Path) -> Iterator[tuple[Any, dict[str, Any]]]:
    remedy = "name a .safetensors file written by deform"
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            if FORMAT not in metadata:
                raise WeightsError(f"{path}: holds no deform network", remedy)
            yield file, json.loads(metadata[FORMAT])
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path}: not a weights file ({error})", remedy) from error


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
        reason = shorten(str(error).splitlines()[-1], 160)
        raise WeightsError(f"{path}: does not fit the network ({reason})", "it belongs to another version") from error


def from_dict(kind: type, values: Mapping[str, Any]) -> Any:
    """A frozen config back from `dataclasses.asdict`, as weights carry it. Raises WeightsError naming unknown keys."""
    hints = get_type_hints(kind)
    unknown = set(values) - set(hints)
    if unknown:
        remedy = "use weights written by this version of deform"
        raise WeightsError(f"the weights' config has an unknown field {sorted(unknown)[0]!r}", remedy)
    restored = {}
    for key, value in values.items():
        hint = hints[key]
        if dataclasses.is_dataclass(hint):
            value = from_dict(hint, value)  # type: ignore[arg-type]
        restored[key] = tuple(value) if isinstance(value, list) else value
    return kind(**restored)


def build_generator(build: Callable[[Any], nn.Module], config_type: type, path: Path, task: str) -> Any:
    """The generator that an exported file describes. Raises WeightsError if it is none, of another task or version."""
    state, config = load_generator(path, task)
    generator = build(from_dict(config_type, config))
    fill_network(generator, state, path)
    return generator


def load_frozen(network: nn.Module, path: Path) -> nn.Module:
    """Load a .safetensors file into `network`, in eval mode, without gradients.

    Raises:
        WeightsError: the file is missing, a pickle, or belongs to another network.
    """
    resolved = resolve_weights(path)
    try:
        network.load_state_dict(load_file(resolved))
    except Exception as error:  # each loader has its own exceptions; all mean the same to the user
        name, reason = type(network).__name__, shorten(one_line(error), 160)
        raise WeightsError(f"{path}: not the weights of {name} ({reason})", f"name a file of {name} weights") from error
    return network.eval().requires_grad_(False)
