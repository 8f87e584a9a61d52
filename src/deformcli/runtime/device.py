"""Which device, and which number format is fast on it."""

from __future__ import annotations

import torch

from deformcli.errors import UsageError

from .tell import log


def choose_device(name: str) -> torch.device:
    """auto, cpu, cuda[:N] or mps as a device. Raises UsageError if it is unknown or not there."""
    if name == "auto":
        there = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        device = torch.device(there)
    else:
        remedy = "use --device auto, cpu, cuda, cuda:N or mps"
        if name.partition(":")[0] not in ("cpu", "cuda", "mps"):
            raise UsageError(f"no device is called {name!r}", remedy)
        try:
            device = torch.device(name)
            torch.empty(1, device=device)
        except (RuntimeError, AssertionError) as error:
            raise UsageError(f"device {name}: {str(error).splitlines()[0]}", remedy) from error
    log.debug("device: %s", device)
    return device


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether bf16 convolutions are faster than fp32 there: recent GPUs, and CPUs with avx512_bf16."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities: dict = getattr(torch.cpu, "get_capabilities", dict)()
    return device.type == "cpu" and bool(capabilities.get("avx512_bf16"))


def autocast(device: torch.device, amp: str) -> torch.autocast:
    """Mixed precision for `amp`: "auto" (bf16 where it is fast), "bf16", "fp16" or "off"."""
    enabled = amp in ("bf16", "fp16") or (amp == "auto" and has_fast_bfloat16(device))
    return torch.autocast(device.type, torch.float16 if amp == "fp16" else torch.bfloat16, enabled=enabled)


def network_layout(device: torch.device) -> torch.memory_format:
    """The order of a network's weights in memory that convolutions are fast with."""
    return torch.channels_last if has_fast_bfloat16(device) else torch.contiguous_format
