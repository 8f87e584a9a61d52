"""The warps under `torch.func` and in dual levels: first derivatives of both modes, and vmap.

A registered op gives zeros in forward mode, so a warp that may be transformed goes through a `torch.autograd.Function`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, NoReturn

import torch
from torch import _C, Tensor
from torch.autograd import Function, forward_ad

from .reference import Pair


def transformed() -> bool:
    """Whether a transform of `torch.func` or a dual level is at work."""
    return forward_ad._current_level >= 0 or _C._are_functorch_transforms_active()


def without_tangents(kernel: Callable[..., Pair]) -> Callable[..., Pair]:
    """`kernel` of a registered op: called by itself in forward mode, where its tangents would be lost, it refuses.

    Inside a `Function` forward mode is off.
    """

    @wraps(kernel)
    def run(*arguments: Any) -> Pair:
        if forward_ad._current_level >= 0 and _C._is_fwd_grad_enabled():
            raise RuntimeError("torch.ops.deform has no forward mode: call the functions of deformcli.warp")
        return kernel(*arguments)

    return run


def refusal(name: str) -> Callable[..., NoReturn]:
    """What stands for the derivative of a derivative."""

    def refuse(ctx: Any, *vectors: Tensor) -> NoReturn:
        raise RuntimeError(f"{name}: second derivatives (double backward) are not supported")

    return refuse


def transformable(
    name: str, warp: Callable[..., Pair], gradient: Callable[..., Pair], tangent: Callable[..., Pair]
) -> tuple[Callable[..., Pair], Callable[..., Pair]]:
    """`warp(image, flow, *options)` and `gradient(...)` for the transforms; second derivatives raise RuntimeError.

    `gradient` takes gradients of (warped, coverage), `tangent` takes tangents of (image, flow), both then the inputs,
    the outputs and the options; the one gives gradients of (image, flow), the other tangents of (warped, coverage).
    """

    against, along = _derivative(name, gradient, transposed=True), _derivative(name, tangent, transposed=False)

    class Warp(Function):
        @staticmethod
        def forward(*arguments: Any) -> Pair:
            return warp(*arguments)

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            tensors, ctx.options = (*inputs[:2], *output), inputs[2:]
            ctx.save_for_backward(*tensors)
            ctx.save_for_forward(*tensors)

        @staticmethod
        def backward(ctx: Any, *grads: Tensor) -> Any:
            return *against(*grads, *ctx.saved_tensors, *ctx.options), *[None] * len(ctx.options)

        @staticmethod
        def jvp(ctx: Any, *tangents: Tensor) -> Any:
            pairs = zip(tangents[:2], ctx.saved_tensors[:2], strict=True)
            vector = [torch.zeros_like(value) if given is None else given for given, value in pairs]
            return along(*vector, *ctx.saved_tensors, *ctx.options)

        @staticmethod
        def vmap(info: Any, in_dims: Sequence[int | None], *arguments: Any) -> Any:
            outputs, _ = _fold(apply, info.batch_size, in_dims, arguments)
            return tuple(outputs), (0, 0)

    apply = _uncompiled(name, Warp)
    return apply, against


def _derivative(name: str, function: Callable[..., Pair], *, transposed: bool) -> Callable[..., Pair]:
    """`function` for the transforms; `transposed` gives gradients, which are summed over the flows of one image."""

    class Derivative(Function):
        @staticmethod
        def forward(*arguments: Any) -> Pair:
            return function(*arguments)

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            pass

        backward = jvp = staticmethod(refusal(name))

        @staticmethod
        def vmap(info: Any, in_dims: Sequence[int | None], *arguments: Any) -> Any:
            outputs, tensors = _fold(apply, info.batch_size, in_dims, arguments)
            if transposed:
                outputs = [part.sum_to_size(like.shape) for part, like in zip(outputs, tensors[2:4], strict=True)]
            return tuple(outputs), (0, 0)

    apply = _uncompiled(name, Derivative)
    return apply


def _uncompiled(name: str, function: type[Function]) -> Callable[..., Pair]:
    """`function.apply`, which torch.compile leaves to eager mode or, asked for a whole graph, refuses."""

    def apply(*arguments: Any) -> Pair:
        if torch.compiler.is_compiling():
            raise RuntimeError(f"{name}: torch.compile does not reach into torch.func here")
        return function.apply(*arguments)

    return apply


def _fold(
    function: Callable[..., Pair], size: int, in_dims: Sequence[int | None], arguments: Sequence[Any]
) -> tuple[list[Tensor], list[Tensor]]:
    """`function` with the mapped dimension made part of the batch: its results, and its tensors, (size, N, ...).

    The last tensor, a flow or a coverage, has the N of the results; one image for N flows is repeated.
    """
    tensors, options = [], []
    for argument, dim in zip(arguments, in_dims, strict=True):
        if not isinstance(argument, Tensor):
            options.append(argument)
        else:
            tensors.append(argument.expand(size, *argument.shape) if dim is None else argument.movedim(dim, 0))
    n = tensors[-1].shape[1]
    folded = [tensor.expand(size, n, *tensor.shape[2:]).flatten(0, 1) for tensor in tensors]
    return [part.unflatten(0, (size, n)) for part in function(*folded, *options)], tensors
