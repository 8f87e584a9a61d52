"""The state of every random number generator that a run may draw from, as tensors."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor


def random_state(device: torch.device) -> dict[str, Tensor]:
    """The generators of Python, NumPy, torch and the device. Their integers fit a float64 exactly."""
    _, integers, gauss = random.getstate()
    _, keys, position, has_gauss, cached = np.random.get_state()
    state = {
        "python": torch.tensor([*integers, math.inf if gauss is None else gauss], dtype=torch.float64),
        "numpy": torch.tensor([*np.asarray(keys).tolist(), position, has_gauss, cached], dtype=torch.float64),
        "torch": torch.get_rng_state(),
    }
    if device.type != "cpu":
        state["device"] = torch.get_device_module(device).get_rng_state()
    return state


def restore_random_state(state: Mapping[str, Tensor], device: torch.device) -> None:
    """Put back what `random_state` took; what is not there stays as it is."""
    if "python" in state:
        *integers, gauss = state["python"].tolist()
        random.setstate((3, tuple(map(int, integers)), None if math.isinf(gauss) else gauss))
    if "numpy" in state:
        *keys, position, has_gauss, cached = state["numpy"].tolist()
        np.random.set_state(("MT19937", np.array(keys, np.uint32), int(position), int(has_gauss), cached))
    if "torch" in state:
        torch.set_rng_state(state["torch"])
    if "device" in state and device.type != "cpu":
        torch.get_device_module(device).set_rng_state(state["device"])
