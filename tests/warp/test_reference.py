"""The arbiter itself, against the thesis's sums written out in Python loops."""

import math

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from deformcli.warp import forward_warp, reference

EPS = 1e-6


def splat(image: Tensor, flow: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Eqs 3.4-3.7, one picture, one addition at a time."""
    channels, h, w = image.shape
    sums, coverage = torch.zeros(channels, h, w, dtype=torch.float64), torch.zeros(1, h, w, dtype=torch.float64)
    for row in range(h):
        for column in range(w):
            x, y = column + float(flow[0, row, column]), row + float(flow[1, row, column])
            if not (math.isfinite(x) and math.isfinite(y)):
                continue
            for q in range(h):
                for p in range(w):
                    weight = max(0.0, 1 - abs(x - p)) * max(0.0, 1 - abs(y - q))
                    if weight > 0:
                        sums[:, q, p] += image[:, row, column] * weight
                        coverage[0, q, p] += weight
    return sums / (coverage + eps), coverage


def test_forward_is_the_written_out_sum(kind, make_flow):
    image, flow = torch.randn(2, 3, 5, 6, dtype=torch.float64), make_flow(kind, 2, 5, 6)
    warped, coverage = reference.forward_warp(image, flow, EPS)
    for n in range(2):
        expected_warped, expected_coverage = splat(image[n], flow[n], EPS)
        torch.testing.assert_close(warped[n], expected_warped, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(coverage[n], expected_coverage, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", ["smooth", "rough", "one_cell", "outside", "not_finite"])  # the others are at a kink
@pytest.mark.parametrize("batch", [1, 2])
def test_gradient_is_the_slope(kind, batch, make_flow):
    flow = make_flow(kind, 2, 4, 5).requires_grad_()
    image = torch.randn(batch, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    step = 1e-9 if kind == "rough" else 1e-7  # a tiny coverage bends sharply
    assert gradcheck(
        lambda i, f: forward_warp(i, f, eps=1e-2, impl="reference"), (image, flow), eps=step, atol=1e-4, rtol=1e-3
    )


@pytest.mark.parametrize("kind", ["identity", "integer"])
def test_gradient_at_a_kink_is_the_right_hand_slope(kind, make_flow):
    """By both coordinates of every pixel: the difference towards larger displacement."""
    flow, step = make_flow(kind, 1, 4, 5), 1e-7
    image = torch.randn(1, 2, 4, 5, dtype=torch.float64)
    weights = torch.randn(1, 2, 4, 5, dtype=torch.float64), torch.randn(1, 1, 4, 5, dtype=torch.float64)

    def value(flow: Tensor) -> Tensor:
        warped, coverage = forward_warp(image, flow, eps=1e-2, impl="reference")
        return (warped * weights[0]).sum() + (coverage * weights[1]).sum()

    (gradient,) = torch.autograd.grad(value(flow.requires_grad_()), flow)
    flow, expected = flow.detach(), torch.empty_like(gradient)
    for i in range(flow.numel()):
        ahead = flow.clone()
        ahead.view(-1)[i] += step
        expected.view(-1)[i] = (value(ahead) - value(flow)) / step
    chosen = _moves_among_touched(forward_warp(image, flow)[1][0, 0] > 0, flow)
    torch.testing.assert_close(gradient * chosen, expected * chosen, rtol=1e-4, atol=1e-4)


def _moves_among_touched(touched: Tensor, flow: Tensor) -> Tensor:
    """(H, W): whether an integer flow ends in the picture and with no hole beside: a hole's gradient is cut."""
    h, w = touched.shape
    result = torch.zeros(h, w, dtype=torch.bool)
    for row in range(h):
        for column in range(w):
            x, y = column + int(flow[0, 0, row, column]), row + int(flow[0, 1, row, column])
            around = [bool(touched[q, p]) for q, p in ((y, x), (y + 1, x), (y, x + 1)) if 0 <= q < h and 0 <= p < w]
            result[row, column] = 0 <= y < h and 0 <= x < w and all(around)
    return result


def test_backward_is_the_written_out_sample(kind, make_flow):
    image, flow = torch.randn(2, 3, 5, 6, dtype=torch.float64), make_flow(kind, 2, 5, 6)
    warped, coverage = reference.backward_warp(image, flow)
    for n in range(2):
        for row in range(5):
            for column in range(6):
                x, y = column + float(flow[n, 0, row, column]), row + float(flow[n, 1, row, column])
                color, total = torch.zeros(3, dtype=torch.float64), 0.0
                for q in range(5):
                    for p in range(6):
                        weight = max(0.0, 1 - abs(x - p)) * max(0.0, 1 - abs(y - q))
                        if weight > 0:
                            color, total = color + weight * image[n, :, q, p], total + weight
                torch.testing.assert_close(warped[n, :, row, column], color)
                torch.testing.assert_close(float(coverage[n, 0, row, column]), total)
