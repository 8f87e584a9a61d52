"""Turns a pickle of tensors into a .safetensors file: `convert` runs this module in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deformcli.errors import UsageError, WeightsError

OLDEST_TORCH = (2, 10)  # older ones load with weights_only=True too, but were found to let code through


def convert(source: Path, target: Path) -> None:
    """Read the tensors of `source` (weights_only=True, in a child process) and write them to `target`.

    Raises:
        UsageError: no such file, or the target exists.
        WeightsError: it holds something else than tensors, or torch is too old to be trusted with it.
    """
    if not source.is_file():
        raise UsageError(f"no such file: {source}", "check the path")
    if target.exists():
        raise UsageError(f"{target} exists already", "choose another output with -o")
    child = [sys.executable, "-m", "deformcli.weights.pickles", str(source), str(target)]
    done = subprocess.run(child, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = next(iter(done.stderr.strip().splitlines()[-1:]), f"the process ended with {done.returncode}")
        raise WeightsError(f"{source} is not converted: {reason}", "get it as .safetensors from where it comes from")


def tensors_in(state: Any) -> dict[str, Any]:
    """The named tensors of a checkpoint: its own, or those of the one mapping of tensors in it. Raises ValueError."""
    import torch

    mappings = [state, *state.values()] if isinstance(state, Mapping) else []
    found = [m for m in mappings if isinstance(m, Mapping) and m and all(torch.is_tensor(t) for t in m.values())]
    if len(found) != 1:
        raise ValueError(f"expected one mapping of names to tensors, found {len(found)}")
    names = list(found[0])
    start = "module." if all(str(name).startswith("module.") for name in names) else ""  # torch's DataParallel
    return {str(name).removeprefix(start): tensor.detach().clone() for name, tensor in found[0].items()}


def _main(source: str, target: str) -> None:
    import torch
    from safetensors.torch import save

    from deformcli.runtime.storage import write_atomic

    if tuple(int(part) for part in torch.__version__.split(".")[:2]) < OLDEST_TORCH:
        raise ValueError(f"torch {torch.__version__} is too old to open pickles safely, 2.10 is needed")
    state = torch.load(source, map_location="cpu", weights_only=True)
    write_atomic(Path(target), save({name: t.contiguous() for name, t in tensors_in(state).items()}))


if __name__ == "__main__":
    try:
        _main(*sys.argv[1:])
    except Exception as error:  # whatever it is, the parent shows one line of it
        sys.exit(f"{type(error).__name__}: {str(error).strip().splitlines()[0]}")
