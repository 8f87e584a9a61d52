"""The backward-warp operator: every target pixel fetches its colour through its own flow vector (the BKWD ablation)."""

from __future__ import annotations

import torch
from torch import Tensor

from . import reference
from .checks import checked
from .transforms import refusal, transformable, transformed, without_tangents


def backward_warp(image: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
    """Sample `image` through `flow` bilinearly, differentiable in both; takes `forward_warp`'s place. Eqs 3.1-3.3.

    Args:
        image: (N, C, H, W) or (1, C, H, W), as for `forward_warp`.
        flow: (N, 2, H, W), displacement in pixels from the target pixel to where its colour lies.

    Returns:
        warped: (N, C, H, W) in the image's dtype; 0 where the flow leads outside the image, is NaN or Inf.
        coverage: (N, 1, H, W) in the flow's dtype: the weight that fell inside the image, 0..1.

    Raises:
        TypeError, ValueError: an argument of the wrong type, dtype, shape or device, by name.
    """
    warp = _transformable_op if transformed() else _forward_op
    warped, coverage = warp(*checked(image, flow))
    return warped, coverage


@torch.library.custom_op("deform::backward_warp", mutates_args=())
@without_tangents
def _forward_op(image: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
    return reference.backward_warp(image, flow)


@torch.library.custom_op("deform::backward_warp_backward", mutates_args=())
@without_tangents
def _backward_op(grad_warped: Tensor, grad_coverage: Tensor, image: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
    return reference.backward_warp_backward(grad_warped, grad_coverage, image, flow)


@_forward_op.register_fake
def _forward_fake(image: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
    n, _, h, w = flow.shape
    return image.new_empty(n, image.shape[1], h, w), flow.new_empty(n, 1, h, w)


@_backward_op.register_fake
def _backward_fake(grad_warped: Tensor, grad_coverage: Tensor, image: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
    return image.new_empty(image.shape), flow.new_empty(flow.shape)


def _setup_context(ctx, inputs, output) -> None:
    ctx.save_for_backward(*inputs)


def _backward(ctx, grad_warped: Tensor, grad_coverage: Tensor):
    gradient = _gradient if transformed() else _backward_op
    return gradient(grad_warped, grad_coverage, *ctx.saved_tensors)


_forward_op.register_autograd(_backward, setup_context=_setup_context)
_backward_op.register_autograd(refusal("backward_warp"))
_transformable_op, _gradient = transformable(
    "backward_warp",
    _forward_op,
    gradient=lambda grad_warped, grad_coverage, *tensors: _backward_op(grad_warped, grad_coverage, *tensors[:2]),
    tangent=lambda image_tangent, flow_tangent, *tensors: reference.backward_warp_tangent(
        (image_tangent, flow_tangent), tensors[:2]
    ),
)
