"""Forward warp and nearest fill on the GPU: the kernels of `csrc/forward_warp.cu`, launched through the driver.

`nvrtc.py` compiles them at first use. Under CUDA graphs, the first call must lie before the capture.
"""

from __future__ import annotations

import ctypes
import math
import sys
from functools import cache
from typing import Any

import torch
from torch import Tensor

from . import nvrtc, reference
from .reference import BOTH, Needed, Pair

BLOCK = (32, 8, 1)
MOST_BLOCKS = 65535  # in y and z; the kernels walk on in strides

_REALS = {torch.float32: ctypes.c_float, torch.float64: ctypes.c_double}
_SUFFIXES = {torch.float32: "f32", torch.float64: "f64", torch.uint8: "u8"}


class Shape(ctypes.Structure):
    """`Shape` of the kernels."""

    _fields_ = (
        ("batch", ctypes.c_longlong),
        ("image_batch", ctypes.c_longlong),
        ("channels", ctypes.c_int),
        ("height", ctypes.c_int),
        ("width", ctypes.c_int),
    )


def available() -> tuple[bool, str]:
    """Whether the kernels run on the current CUDA device, and on which or why not."""
    if not torch.cuda.is_available():
        return False, "torch sees no CUDA device"
    try:
        _function("splat_f32", torch.cuda.current_device())
        _try_out(torch.device("cuda", torch.cuda.current_device()))
    except torch.cuda.OutOfMemoryError:
        raise  # later there may be some
    except (OSError, RuntimeError) as error:
        return False, str(error)
    return True, torch.cuda.get_device_name()


@cache
def _try_out(device: torch.device) -> None:
    """Raises RuntimeError unless a small warp and its gradient are the reference's."""
    flow = torch.linspace(-3, 3, 128, dtype=torch.float32, device=device).view(1, 2, 8, 8)
    inputs, grads = (flow, flow), (flow, flow[:, :1])
    outputs, expected = forward_warp(*inputs, 1e-6), reference.forward_warp(*inputs, 1e-6)
    gradients = forward_warp_backward(grads, inputs, outputs, 1e-6)
    expected_gradients = reference.forward_warp_backward(grads, inputs, expected, 1e-6)
    for found, right in zip((*outputs, *gradients), (*expected, *expected_gradients), strict=True):
        if not torch.allclose(found, right, rtol=1e-3, atol=1e-3):
            raise RuntimeError("the kernels compute something else than the reference")


def forward_warp(image: Tensor, flow: Tensor, eps: float) -> Pair:
    """Splat `image` along `flow`; the contract is documented in `forward.py`."""
    splat = _splat_fixed if torch.are_deterministic_algorithms_enabled() else _splat
    warped, coverage = splat(image.to(flow.dtype).contiguous(), flow.contiguous(), eps)
    return warped.to(image.dtype), coverage


def _splat(image: Tensor, flow: Tensor, eps: float) -> Pair:
    (n, _, h, w), channels = flow.shape, image.shape[1]
    cells = flow.new_zeros((n, channels // 4 + 1, h, w, 4))  # colours and coverage side by side
    warped, coverage = flow.new_empty((n, channels, h, w)), flow.new_empty((n, 1, h, w))
    shape, blocks = _shape(image, flow), _blocks(n, h, w)
    _launch("splat", flow, blocks, image, flow, cells, shape)
    _launch("normalise", flow, blocks, cells, warped, coverage, shape, _REALS[flow.dtype](eps))
    return warped, coverage


def _splat_fixed(image: Tensor, flow: Tensor, eps: float) -> Pair:
    """In integers, whose sums do not depend on their order."""
    (n, _, h, w), channels = flow.shape, image.shape[1]
    cells = flow.new_zeros((n, channels + 1, h, w), dtype=torch.int64)
    warped, coverage = flow.new_zeros((n, channels, h, w)), flow.new_empty((n, 1, h, w))
    shape, blocks, scales = _shape(image, flow), _blocks(n, h, w), _fixed_point_scales(image)
    _launch("splat_fixed", flow, blocks, image, flow, cells, warped, scales, shape)
    _launch("normalise_fixed", flow, blocks, cells, warped, coverage, scales, shape, _REALS[flow.dtype](eps))
    return warped, coverage


def _fixed_point_scales(image: Tensor) -> Tensor:
    """(images, channels + 1): the powers of two by which all of a picture's pixels fit into one int64; float64."""
    finite = image.double().nan_to_num(0.0, 0.0, 0.0).abs()
    largest = torch.cat([finite.amax((2, 3)), finite.new_ones(len(image), 1)], 1)  # the coverage adds ones
    bits = largest.log2() + math.log2(image.shape[2] * image.shape[3])
    return torch.exp2((62 - bits.ceil()).clamp(max=1000))  # all black: any


def forward_warp_backward(grads: Pair, inputs: Pair, outputs: Pair, eps: float, needed: Needed = BOTH) -> Pair:
    """Closed-form gradient of `forward_warp`, a pure gather; the one that is not needed is not written."""
    image, flow = inputs
    n, _, h, w = flow.shape
    tensors = [tensor.to(flow.dtype).contiguous() for tensor in (*grads, *inputs, *outputs)]
    allocate = flow.new_empty if n else flow.new_zeros  # without flows nothing is written
    grad_image, grad_flow = allocate(image.shape if needed[0] else 0), allocate(flow.shape if needed[1] else 0)
    pointers = [tensor.data_ptr() for tensor in (*tensors, grad_image, grad_flow)]
    gradient = _gradient(_REALS[flow.dtype])((ctypes.c_void_p * 8)(*pointers), _shape(image, flow), eps)
    _launch("gather", flow, _blocks(min(n, len(image)) if needed[0] else n, h, w), gradient)
    return grad_image.to(image.dtype), grad_flow


@cache
def _gradient(real: type) -> type[ctypes.Structure]:
    """`Gradient` of the kernels."""
    fields = [("tensors", ctypes.c_void_p * 8), ("shape", Shape), ("eps", real)]
    return type("Gradient", (ctypes.Structure,), {"_fields_": fields})


def nearest_known(present: Tensor) -> Tensor:
    """Index (N, H, W) into H * W of the nearest pixel that is `present` (N, H, W); the contract is in `fill.py`."""
    known = present[:, None].byte().contiguous()
    rows, index = (
        present.new_empty(present.shape, dtype=torch.int32),
        present.new_empty(present.shape, dtype=torch.int64),
    )
    shape = _shape(known, known)
    n, h, w = present.shape
    _launch("nearest_rows", known, _blocks(n, min(h, 1), w), known, rows, shape)
    _launch("nearest_columns", known, _blocks(n, h, w), rows, index, shape)
    return index


def _shape(image: Tensor, flow: Tensor) -> Shape:
    return Shape(len(flow), *image.shape)


def _blocks(batch: int, height: int, width: int) -> tuple[int, int, int]:
    """With a thread for each pixel of `batch`."""
    return -(-width // BLOCK[0]), min(-(-height // BLOCK[1]), MOST_BLOCKS), min(batch, MOST_BLOCKS)


def _launch(name: str, like: Tensor, blocks: tuple[int, int, int], *arguments: Any) -> None:
    """Run the kernel of the dtype of `like` on its device's current stream."""
    if 0 in blocks:
        return
    values = [ctypes.c_void_p(a.data_ptr()) if isinstance(a, Tensor) else a for a in arguments]
    pointers = (ctypes.c_void_p * len(values))(*[ctypes.addressof(value) for value in values])
    _submit(f"{name}_{_SUFFIXES[like.dtype]}", like.device, blocks, pointers)


def _submit(name: str, device: torch.device, blocks: tuple[int, int, int], arguments: ctypes.Array) -> None:
    with torch.cuda.device(device):
        _check(_driver().cuCtxSetCurrent(_context(device.index)))  # a new thread has none
        stream = ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)
        _check(_driver().cuLaunchKernel(_function(name, device.index), *blocks, *BLOCK, 0, stream, arguments, None))


# The driver.


@cache
def _function(name: str, device: int) -> ctypes.c_void_p:
    module, function = _module(device), ctypes.c_void_p()
    _check(_driver().cuModuleGetFunction(ctypes.byref(function), module, name.encode()))
    return function


@cache
def _module(device: int) -> ctypes.c_void_p:
    """The kernels, loaded in the device's context."""
    major, minor = torch.cuda.get_device_capability(device)
    module = ctypes.c_void_p()
    binary = nvrtc.compiled(10 * major + minor)
    with torch.cuda.device(device):
        _check(_driver().cuCtxSetCurrent(_context(device)))
        _check(_driver().cuModuleLoadData(ctypes.byref(module), binary))
    return module


@cache
def _context(device: int) -> ctypes.c_void_p:
    """The context that torch uses on the device."""
    handle, context = ctypes.c_int(), ctypes.c_void_p()
    _check(_driver().cuDeviceGet(ctypes.byref(handle), device))
    _check(_driver().cuDevicePrimaryCtxRetain(ctypes.byref(context), handle))
    return context


@cache
def _driver() -> ctypes.CDLL:
    return ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")


def _check(status: int) -> None:
    if status:
        text = ctypes.c_char_p()
        _driver().cuGetErrorString(status, ctypes.byref(text))
        raise RuntimeError(f"CUDA driver: {(text.value or b'unknown error').decode()} ({status})")
