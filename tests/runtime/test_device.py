"""Which device a name stands for, and how one that is not there is refused."""

from __future__ import annotations

import pytest
import torch

from deformcli.errors import UsageError
from deformcli.runtime.device import autocast, choose_device, has_fast_bfloat16

CPU = torch.device("cpu")


def test_auto_is_the_best_there_is(monkeypatch):
    assert choose_device("cpu") == CPU
    for there in (True, False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
        assert choose_device("auto").type == ("cuda" if there else "cpu")


@pytest.mark.parametrize("name", ["cuda:99", "tpu", "meta", "cpu:x", ""])
def test_device_that_is_not_there(name):
    with pytest.raises(UsageError) as caught:
        choose_device(name)
    assert "device" in caught.value.cause
    assert "--device auto" in caught.value.remedy
    assert len(caught.value.cause) < 200


@pytest.mark.parametrize("amp", ["auto", "bf16", "off"])
def test_autocast_follows_the_setting(amp):
    with autocast(CPU, amp):
        made = torch.nn.functional.linear(torch.ones(1, 2), torch.ones(1, 2))
    half = amp == "bf16" or (amp == "auto" and has_fast_bfloat16(CPU))
    assert made.dtype == (torch.bfloat16 if half else torch.float32)
