"""The inpainter's generator: what holes do when pixels move."""

from __future__ import annotations

import pytest
import torch

from deform_inpaint.networks import Generator


@pytest.mark.parametrize("preset", ["fw-gap", "bkwd"])
def test_pixels_of_holes_weigh_nothing(tiny_config, preset):
    """Whatever colour a hole comes with, no warp of the thesis's presets carries it anywhere."""
    torch.manual_seed(0)
    network = Generator(tiny_config("inpaint", preset).generator).eval()
    network.regressor.head.weight.data *= 1000  # rough flows
    image, known = torch.full((1, 3, 64, 64), 0.5), torch.ones(1, 1, 64, 64)
    known[..., 20:44, 20:44] = 0
    made = network(image, known)
    assert made.flows.abs().max() > 3
    torch.testing.assert_close(made.candidates[:, 1:], torch.full_like(made.candidates[:, 1:], 0.5))
