"""The thesis's seven networks have the thesis's sizes, and every network keeps to the shapes it states."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from deform_frontalize.recipe import FrontalizeRecipe
from deform_inpaint.recipe import InpaintRecipe
from deformcli.models.gated import GatedConv, GatedUNet
from deformcli.models.hourglass import ResidualHourglass
from deformcli.models.residual_unet import ResidualUNet
from deformcli.models.unet import UNet

THESIS_COUNTS = {
    ("frontalize", "regressor"): 3_020_993,
    ("frontalize", "inpainter"): 5_640_742,
    ("frontalize", "patch"): 536_000,
    ("frontalize", "gap"): 869_025,
    ("inpaint", "regressor"): 981_140,
    ("inpaint", "merger"): 15_584_523,
    ("inpaint", "patch"): 2_783_797,
    ("inpaint", "gap"): 869_025,
}


@pytest.fixture(scope="module")
def recipes():
    """Both tasks with the thesis's preset."""
    return {kind.predictor.task: kind(kind.presets["fw-gap"]) for kind in (FrontalizeRecipe, InpaintRecipe)}


@pytest.mark.parametrize(("task", "name"), THESIS_COUNTS)
def test_parameter_count_is_the_thesis_one(recipes, task, name):
    recipe = recipes[task]
    networks = {**dict(recipe.generator.named_children()), **recipe.discriminators}
    count = sum(parameter.numel() for parameter in networks[name].parameters())
    assert count == pytest.approx(THESIS_COUNTS[task, name], rel=0.01)


def test_thesis_generators_hold_nothing_else(recipes):
    assert {name for name, _ in recipes["frontalize"].generator.named_children()} == {"regressor", "inpainter"}
    assert {name for name, _ in recipes["inpaint"].generator.named_children()} == {"regressor", "merger"}
    assert recipes["inpaint"].config.generator.flows == 10


def test_ablations_differ_in_one_thing_each():
    for kind in (FrontalizeRecipe, InpaintRecipe):
        presets = kind.presets
        assert presets["fw"].generator == presets["fw-gap"].generator
        assert (presets["fw"].losses.gap, presets["bkwd"].losses) == (0, presets["fw"].losses)
        assert presets["bkwd"].generator.sampler == "backward"
    assert InpaintRecipe.presets["gated"].generator.architecture == "gated"
    assert not FrontalizeRecipe.presets["gated"].generator.warp


def test_the_gated_baseline_moves_nothing(tiny_config):
    recipe = FrontalizeRecipe(tiny_config("frontalize", "gated"))
    image = varied((2, 3, 64, 64))
    made = recipe.generator(image)
    assert {name for name, _ in recipe.generator.named_children()} == {"inpainter"}
    assert not made.flow.any() and made.known.all()
    torch.testing.assert_close(made.warped, image)
    assert made.output.requires_grad


def varied(shape: tuple[int, ...]) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize(
    ("network", "side"),
    [
        (UNet(5, 2, (4, 6, 8)), 4),
        (ResidualHourglass(5, 2, 4, residual_blocks=1), 8),
        (GatedUNet(5, 2, (4, 6, 8)), 4),
        (ResidualUNet(5, 2, (4, 6, 8), (1, 2, 1)), 4),
    ],
    ids=["unet", "hourglass", "gated", "residual"],
)
def test_shape_is_kept(network, side):
    for height, width in ((side, 3 * side), (2 * side, side)):
        assert network.eval()(varied((2, 5, height, width))).shape == (2, 2, height, width)


def test_regressors_begin_near_the_identity():
    for network in (UNet(5, 2, (8, 8, 8)), ResidualHourglass(5, 2, 8, residual_blocks=1)):
        assert network(varied((1, 5, 16, 16))).abs().max() < 0.1


def test_unet_sees_far_and_keeps_what_is_near():
    """A changed corner reaches the far corner through the coarse levels, and changes its own place most (the skips)."""
    torch.manual_seed(0)
    network = UNet(1, 1, (8, 8, 8, 8)).eval()
    image = varied((1, 1, 32, 32)).requires_grad_()
    near, far = (torch.autograd.grad(network(image)[0, 0, y, y], image)[0].abs() for y in (2, 29))
    assert near[0, 0, :8, :8].sum() > far[0, 0, :8, :8].sum() > 0


def test_residual_unet_begins_at_zero_and_minds_brightness():
    network = ResidualUNet(3, 3, (8, 8), (1, 1))
    image = varied((1, 3, 16, 16))
    assert not network(image).any()
    torch.nn.init.normal_(network.head.weight)
    assert (network(image + 1) - network(image)).abs().max() > 0.1, "a norm would take the offset away"


def test_gated_convolution_by_hand():
    """ELU(features) * sigmoid(gate): the first half of the channels are features."""
    conv = GatedConv(1, 1, kernel=1)
    conv.conv.weight.data[:] = torch.tensor([1.0, 2.0]).view(2, 1, 1, 1)
    conv.conv.bias.data[:] = torch.tensor([0.0, 1.0])
    made = conv(torch.tensor([[[[1.0, -1.0]]]]))
    expected = [1 / (1 + 2.718281828**-3), (2.718281828**-1 - 1) / (1 + 2.718281828)]  # gate of 2x + 1 = 3 and -1
    assert made.flatten().tolist() == pytest.approx(expected, abs=1e-6)
