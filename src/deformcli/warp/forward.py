"""The forward-warp operator: every source pixel moves along its own flow vector and is splatted where it lands."""

from __future__ import annotations

import torch
from torch import Tensor

from . import reference
from .checks import check_warp_arguments

EPS = 1e-6
IMPLEMENTATIONS = ("reference",)


def forward_warp(image: Tensor, flow: Tensor, *, eps: float = EPS, impl: str | None = None) -> tuple[Tensor, Tensor]:
    """Splat `image` along `flow` (bilinear kernel, normalised), differentiable in both. Thesis eqs 3.4-3.7.

    Args:
        image: (N, C, H, W), any range; or (1, C, H, W) to move one image along N flows without copying it.
            float32, float64, or float16 / bfloat16 with a float32 flow (sums stay float32).
        flow: (N, 2, H, W), displacement in pixels, channel 0 = x (right), 1 = y (down). float32 or float64.
        eps: added to the coverage before the division (eq. 3.7); above 0.
        impl: one of IMPLEMENTATIONS, or None for the best one on the image's device.

    Returns:
        warped: (N, C, H, W) in the image's dtype; 0 in holes.
        coverage: (N, 1, H, W) in the flow's dtype, the `w` of eq. 3.6; a pixel is a hole where it is 0.

    A corner outside the picture is dropped alone. A pixel whose flow is NaN or Inf, or leads outside, contributes
    nothing and gets exactly zero gradient. A NaN colour reaches only cells it has weight in. At an integer
    displacement, which is a kink, the gradient is the right-hand derivative. Double backward raises RuntimeError.

    Raises:
        TypeError, ValueError: an argument of the wrong type, dtype, shape or device, by name.
    """
    check_warp_arguments(image, flow)
    if not eps > 0:
        raise ValueError(f"eps: expected a number above 0, got {eps}")
    if impl is not None and impl not in IMPLEMENTATIONS:
        raise ValueError(f"impl: expected one of {', '.join(IMPLEMENTATIONS)} or None, got {impl!r}")
    warped, coverage = torch.ops.deform.forward_warp(image, flow, eps, impl or "")
    return warped, coverage


@torch.library.custom_op("deform::forward_warp", mutates_args=())
def _forward_op(image: Tensor, flow: Tensor, eps: float, impl: str) -> tuple[Tensor, Tensor]:
    return reference.forward_warp(image, flow, eps)


@torch.library.custom_op("deform::forward_warp_backward", mutates_args=())
def _backward_op(
    grad_warped: Tensor,
    grad_coverage: Tensor,
    image: Tensor,
    flow: Tensor,
    warped: Tensor,
    coverage: Tensor,
    eps: float,
    impl: str,
) -> tuple[Tensor, Tensor]:
    return reference.forward_warp_backward(grad_warped, grad_coverage, image, flow, warped, coverage, eps)


@_forward_op.register_fake
def _forward_fake(image: Tensor, flow: Tensor, eps: float, impl: str) -> tuple[Tensor, Tensor]:
    n, _, h, w = flow.shape
    return image.new_empty(n, image.shape[1], h, w), flow.new_empty(n, 1, h, w)


@_backward_op.register_fake
def _backward_fake(
    grad_warped: Tensor,
    grad_coverage: Tensor,
    image: Tensor,
    flow: Tensor,
    warped: Tensor,
    coverage: Tensor,
    eps: float,
    impl: str,
) -> tuple[Tensor, Tensor]:
    return image.new_empty(image.shape), flow.new_empty(flow.shape)


def _setup_context(ctx, inputs, output) -> None:
    image, flow, ctx.eps, ctx.impl = inputs
    ctx.save_for_backward(image, flow, *output)


def _backward(ctx, grad_warped: Tensor, grad_coverage: Tensor):
    return *torch.ops.deform.forward_warp_backward(grad_warped, grad_coverage, *ctx.saved_tensors, ctx.eps, ctx.impl), None, None


def _no_double_backward(ctx, *grads: Tensor):
    raise RuntimeError("forward_warp: double backward is not supported")


_forward_op.register_autograd(_backward, setup_context=_setup_context)
_backward_op.register_autograd(_no_double_backward)
for _device in ("cpu", "cuda"):
    _forward_op.register_autocast(_device, torch.float32)
