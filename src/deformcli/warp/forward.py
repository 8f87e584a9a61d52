"""The forward-warp operator: every source pixel moves along its own flow vector and is splatted where it lands."""

from __future__ import annotations

import warnings
from functools import cache
from types import ModuleType

import torch
from torch import _C, Tensor
from torch.autograd import forward_ad

from . import cuda, native, reference
from .checks import checked
from .reference import BOTH, Pair
from .transforms import refusal, transformable, transformed, without_tangents

EPS = 1e-6
_NUMBER = float, int  # made once: `float | int` is not free
IMPLEMENTATIONS: dict[str, ModuleType] = {"reference": reference, "native": native, "cuda": cuda}
_Keys, _Key = _C.DispatchKeySet, _C.DispatchKey
_NO_MODE = _Keys(_Key.BackendSelect).add(_Key.ADInplaceOrView)
_PLAIN = _Keys(_Key.CPU).add(_Key.AutogradCPU).add(_Key.AutocastCPU).add(_Key.ADInplaceOrView)
_DEVICES = {"native": "cpu", "cuda": "cuda"}  # the device each of the others is made for


def forward_warp(image: Tensor, flow: Tensor, *, eps: float = EPS, impl: str | None = None) -> tuple[Tensor, Tensor]:
    """Splat `image` along `flow` (bilinear kernel, normalised), differentiable in both. Thesis eqs 3.4-3.7.

    Args:
        image: (N, C, H, W), any range; or (1, C, H, W) to move one image along N flows without copying it.
            float32, float64, or float16 / bfloat16 with a float32 flow (sums stay float32).
        flow: (N, 2, H, W), displacement in pixels, channel 0 = x (right), 1 = y (down). float32 or float64.
        eps: added to the coverage before the division (eq. 3.7); above 0.
        impl: "reference" (torch ops, any device), "native" (C++ on the CPU, in the best instruction set that it was
            built for and the processor has; all give the same bits), "cuda" (NVIDIA GPUs), or None for the best one
            on the image's device.

    Returns:
        warped: (N, C, H, W) in the image's dtype; 0 in holes.
        coverage: (N, 1, H, W) in the flow's dtype, the `w` of eq. 3.6; a pixel is a hole where it is 0.

    A corner outside the picture is dropped alone. A pixel whose flow is NaN or Inf, or leads outside, contributes
    nothing and gets exactly zero gradient. A NaN colour reaches only cells it has weight in. At an integer
    displacement, which is a kink, the gradient is the right-hand derivative. Second derivatives raise RuntimeError.

    Raises:
        TypeError, ValueError: an argument of the wrong type, dtype, shape or device, by name.
    """
    image, flow = checked(image, flow)
    if not isinstance(eps, _NUMBER):
        raise TypeError(f"eps: expected a number above 0, got {type(eps).__name__}")
    if not eps > 0:
        raise ValueError(f"eps: expected a number above 0, got {eps}")
    if impl is not None and impl not in IMPLEMENTATIONS:
        raise ValueError(f"impl: expected one of {', '.join(IMPLEMENTATIONS)} or None, got {impl!r}")
    if not _nobody_watches(image, flow):
        warp = _transformable_op if transformed() else _forward_op
        return warp(image, flow, eps, impl or "")
    module = _implementation(impl, flow.device) if impl else best_implementation("cpu")
    if torch.is_grad_enabled() and (image.requires_grad or flow.requires_grad):
        return _Direct.apply(image, flow, eps, impl or "", module)
    return module.forward_warp(image, flow, eps)


def _nobody_watches(one: Tensor, other: Tensor) -> bool:
    """Whether a call can go to the implementation at once: the dispatcher costs more than a small image's warp.

    It must not where there is a mode, a transform, a dual level, a tracer or a profiler, or a tensor that is not a
    plain one of the CPU.
    """
    return (
        type(one) is Tensor
        and type(other) is Tensor
        and _C._dispatch_keys(one) == _PLAIN
        and _C._dispatch_keys(other) == _PLAIN
        and _C._dispatch_tls_local_include_set() == _NO_MODE
        and forward_ad._current_level < 0
        and not torch.compiler.is_compiling()
        and not _C._is_torch_function_mode_enabled()
        and not torch.autograd._profiler_enabled()
    )


def _implementation(impl: str, device: torch.device) -> ModuleType:
    """The module that runs the op: the one asked for, or the device's best."""
    if not impl:
        return best_implementation(device.type)
    module = IMPLEMENTATIONS[impl]
    if impl == "reference":
        return module
    if device.type != _DEVICES[impl]:
        raise ValueError(f"impl: {impl!r} runs on {_DEVICES[impl]} tensors, got a tensor on {device}")
    usable, reason = module.available()
    if not usable:
        raise RuntimeError(f"impl: {impl!r} is not available: {reason}")
    return module


@cache
def best_implementation(device_type: str) -> ModuleType:
    """The module whose `forward_warp`, `forward_warp_backward` and `nearest_known` are the fastest there."""
    for name in (name for name, kind in _DEVICES.items() if kind == device_type):
        usable, reason = IMPLEMENTATIONS[name].available()
        if usable:
            return IMPLEMENTATIONS[name]
        if name == "cuda":
            warnings.warn(f"forward_warp runs without its CUDA kernels, slower: {reason}", stacklevel=2)
    return reference


def _forward(image: Tensor, flow: Tensor, eps: float, impl: str) -> Pair:
    return _implementation(impl, flow.device).forward_warp(image, flow, eps)


def _forward_fake(image: Tensor, flow: Tensor, eps: float, impl: str) -> Pair:
    n, _, h, w = flow.shape
    return image.new_empty(n, image.shape[1], h, w), flow.new_empty(n, 1, h, w)


def _backward(grad_warped: Tensor, grad_coverage: Tensor, image: Tensor, flow: Tensor, *rest) -> Pair:
    *outputs, eps, impl, needed = rest
    module = _implementation(impl, flow.device)
    return module.forward_warp_backward((grad_warped, grad_coverage), (image, flow), outputs, eps, needed)


def _backward_fake(grad_warped: Tensor, grad_coverage: Tensor, image: Tensor, flow: Tensor, *rest) -> Pair:
    image_needed, flow_needed = rest[-1]
    return image.new_empty(image.shape if image_needed else 0), flow.new_empty(flow.shape if flow_needed else 0)


def _save(ctx, inputs, output) -> None:
    image, flow, ctx.eps, ctx.impl = inputs
    ctx.save_for_backward(image, flow, *output)


def _differentiate(ctx, grad_warped: Tensor, grad_coverage: Tensor):
    needed = ctx.needs_input_grad[:2]
    arguments = grad_warped, grad_coverage, *ctx.saved_tensors, ctx.eps, ctx.impl
    gradients = _gradient(*arguments) if transformed() else _backward_op(*arguments, needed)
    return *(gradient if wanted else None for gradient, wanted in zip(gradients, needed, strict=True)), None, None


class _Direct(torch.autograd.Function):
    """The op's gradient without the dispatcher."""

    @staticmethod
    def forward(ctx, image, flow, eps, impl, module):
        outputs = module.forward_warp(image, flow, eps)
        ctx.save_for_backward(image, flow, *outputs)
        ctx.eps, ctx.impl, ctx.module = eps, impl, module
        return outputs

    @staticmethod
    def backward(ctx, *grads):
        if torch.is_grad_enabled() or not _nobody_watches(*grads):
            return *_differentiate(ctx, *grads), None
        image, flow, *outputs = ctx.saved_tensors
        needed = ctx.needs_input_grad[:2]
        gradients = ctx.module.forward_warp_backward(grads, (image, flow), outputs, ctx.eps, needed)
        return *gradients, None, None, None


# `Library` and not `custom_op`, whose wrappers cost more than a small image's warp.
_ops = torch.library.Library("deform", "FRAGMENT")
_ops.define("forward_warp(Tensor image, Tensor flow, float eps, str impl) -> (Tensor, Tensor)")
_ops.define(
    "forward_warp_backward(Tensor grad_warped, Tensor grad_coverage, Tensor image, Tensor flow, Tensor warped,"
    " Tensor coverage, float eps, str impl, bool[2] needed) -> (Tensor, Tensor)"
)
for _name, _kernel, _fake, _gradient, _setup in (
    ("forward_warp", _forward, _forward_fake, _differentiate, _save),
    ("forward_warp_backward", _backward, _backward_fake, refusal("forward_warp"), None),
):
    _ops.impl(_name, without_tangents(_kernel), "CompositeExplicitAutograd")
    torch.library.register_fake(f"deform::{_name}", _fake, lib=_ops)
    torch.library.register_autograd(f"deform::{_name}", _gradient, setup_context=_setup, lib=_ops)
_forward_op, _backward_op = torch.ops.deform.forward_warp.default, torch.ops.deform.forward_warp_backward.default


def _tangent(image_tangent: Tensor, flow_tangent: Tensor, *rest) -> Pair:
    image, flow, warped, coverage, eps, _ = rest
    return reference.forward_warp_tangent((image_tangent, flow_tangent), (image, flow), (warped, coverage), eps)


def _both_gradients(*arguments) -> Pair:
    return _backward_op(*arguments, BOTH)


_transformable_op, _gradient = transformable("forward_warp", _forward_op, _both_gradients, _tangent)
