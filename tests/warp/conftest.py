"""What the tests of the warp share: the kinds of flow, and every implementation with its device."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from deformcli.warp.forward import IMPLEMENTATIONS

KINDS = ("smooth", "rough", "identity", "integer", "one_cell", "outside", "not_finite")


def _make_flow(kind: str, n: int, h: int, w: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """A flow (n, 2, h, w) of one of the KINDS."""
    noise = torch.rand(n, 2, h, w, dtype=dtype) * 2 - 1  # -1..1
    y, x = torch.meshgrid(torch.arange(h, dtype=dtype), torch.arange(w, dtype=dtype), indexing="ij")
    center = torch.stack([w / 2 + 0.3 - x, h / 2 - 0.4 - y])
    strange = torch.tensor([float("nan"), float("inf"), float("-inf"), 1e30], dtype=dtype)
    return {
        "smooth": lambda: F.interpolate(torch.randn(n, 2, 3, 3, dtype=dtype) * 2, (h, w), mode="bicubic"),
        "rough": lambda: noise * max(h, w) / 2,
        "identity": lambda: noise * 0,
        "integer": lambda: torch.round(noise * 3),
        "one_cell": lambda: center + 0.1 * noise,
        "outside": lambda: noise.sign() * (noise.abs() + 1) * 2 * max(h, w),
        "not_finite": lambda: torch.where(
            torch.rand_like(noise) < 0.2, strange[torch.randint(0, 4, noise.shape)], noise * 2
        ),
    }[kind]()


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def make_flow() -> Callable[..., Tensor]:
    return _make_flow


@pytest.fixture(params=KINDS)
def kind(request) -> str:
    return request.param


@pytest.fixture(params=sorted(IMPLEMENTATIONS))
def impl(request) -> str:
    """The name of an implementation; skips where it cannot run, with its own reason."""
    if request.param != "reference":
        usable, reason = IMPLEMENTATIONS[request.param].available()
        if not usable:
            pytest.skip(f"{request.param}: {reason}")
    return request.param


@pytest.fixture
def device(impl) -> str:
    return "cuda" if impl == "cuda" else "cpu"
