"""The gathering sampler of the ablations."""

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck
from torch.library import opcheck

from deformcli.warp import backward_warp

NAN, INF = float("nan"), float("inf")


def test_inside_it_is_grid_sample(make_flow):
    image, flow = torch.randn(2, 3, 9, 11, dtype=torch.float64), make_flow("smooth", 2, 9, 11)
    y, x = torch.meshgrid(torch.arange(9.0), torch.arange(11.0), indexing="ij")
    grid = torch.stack([(x + flow[:, 0]) * 2 / 10 - 1, (y + flow[:, 1]) * 2 / 8 - 1], -1)
    expected = F.grid_sample(image, grid, align_corners=True, padding_mode="zeros")
    torch.testing.assert_close(backward_warp(image, flow)[0], expected)


@pytest.mark.parametrize("kind", ["smooth", "rough", "one_cell", "outside", "not_finite"])
@pytest.mark.parametrize("batch", [1, 2])
def test_gradcheck(kind, batch, make_flow):
    image = torch.randn(batch, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    flow = make_flow(kind, 2, 4, 5).requires_grad_()
    assert gradcheck(backward_warp, (image, flow), eps=1e-7, atol=1e-5)


@pytest.mark.parametrize("displacement", [NAN, INF, -INF, 1e30, 7.0, -7.0])
def test_what_comes_from_nowhere_is_zero(displacement):
    flow = torch.full((1, 2, 4, 5), displacement, requires_grad=True)
    image = torch.ones(1, 3, 4, 5, requires_grad=True)
    warped, coverage = backward_warp(image, flow)
    assert not warped.any() and not coverage.any()
    for gradient in torch.autograd.grad(warped.sum() + coverage.sum(), (image, flow)):
        assert not gradient.any()


def test_coverage_is_the_weight_inside():
    flow = torch.zeros(1, 2, 1, 3)
    flow[0, 0, 0] = torch.tensor([-0.25, 0.5, 0.75])
    warped, coverage = backward_warp(torch.ones(1, 1, 1, 3), flow)
    torch.testing.assert_close(coverage[0, 0, 0], torch.tensor([0.75, 1.0, 0.25]))
    torch.testing.assert_close(warped, coverage)


def test_a_nan_color_is_fetched_only_with_weight():
    image = torch.ones(1, 1, 3, 4)
    image[0, 0, 1, 1] = NAN
    warped, _ = backward_warp(image, torch.zeros(1, 2, 3, 4))
    assert warped.isnan().nonzero().tolist() == [[0, 0, 1, 1]]


def test_half_images_keep_their_dtype(make_flow):
    image, flow = torch.randn(1, 3, 6, 7).half(), make_flow("smooth", 1, 6, 7, torch.float32)
    warped, coverage = backward_warp(image, flow)
    assert (warped.dtype, coverage.dtype) == (torch.float16, torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        assert backward_warp(image, flow.bfloat16())[0].dtype == torch.float32


@pytest.mark.filterwarnings("ignore")  # the compilers' own
def test_opcheck_and_compile(make_flow):
    image, flow = torch.randn(1, 3, 6, 7, requires_grad=True), make_flow("smooth", 2, 6, 7, torch.float32)
    flow.requires_grad_()
    opcheck(torch.ops.deform.backward_warp.default, (image, flow))

    def loss(image, flow):
        return backward_warp(image, flow)[0].square().sum()

    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    expected = torch.autograd.grad(loss(image, flow), (image, flow))
    torch.testing.assert_close(torch.autograd.grad(compiled(image, flow), (image, flow)), expected)


def test_double_backward_is_refused():
    flow = torch.full((1, 2, 4, 5), 0.3, requires_grad=True)
    warped, _ = backward_warp(torch.randn(1, 2, 4, 5), flow)
    (gradient,) = torch.autograd.grad(warped.sum(), flow, create_graph=True)
    with pytest.raises(RuntimeError, match="backward_warp: second derivatives"):
        gradient.sum().backward()


def test_a_wrong_argument_is_named():
    with pytest.raises(ValueError, match="flow: expected 2 channels"):
        backward_warp(torch.zeros(1, 3, 4, 5), torch.zeros(1, 3, 4, 5))
