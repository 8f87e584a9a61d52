"""Forward warp and nearest fill on the GPU (`csrc/forward_warp.cu`): compiled by NVRTC, launched through the driver.

NVRTC comes with torch's CUDA build, so neither nvcc nor a host compiler is needed. It compiles at first use, and
keeps the result in the user's cache. Under CUDA graphs, the first call must lie before the capture.
"""

from __future__ import annotations

import ctypes
import hashlib
import math
import os
import sys
import sysconfig
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import torch
from platformdirs import user_cache_path
from torch import Tensor

from . import reference
from .reference import BOTH, Needed, Pair

SOURCE = Path(__file__).with_name("csrc") / "forward_warp.cu"
OPTIONS = ("--std=c++17",)
BLOCK = (32, 8, 1)
MOST_BLOCKS = 65535  # in y and z; the kernels walk on in strides
BAND, LINE = 8, 32  # of `Forward`: rows it takes at a time, ints of a line of the cache

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
        _function("forward_f32", torch.cuda.current_device())
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
    n, _, h, w = flow.shape
    colors, flow = image.to(flow.dtype).contiguous(), flow.contiguous()
    warped, coverage = flow.new_empty((n, image.shape[1], h, w)), flow.new_empty((n, 1, h, w))
    splat = _splat_in_order if torch.are_deterministic_algorithms_enabled() else _splat
    splat(colors, flow, warped, coverage, eps)
    return warped.to(image.dtype), coverage


def _splat(image: Tensor, flow: Tensor, warped: Tensor, coverage: Tensor, eps: float) -> None:
    n, channels, h, w = warped.shape
    shape, bands_of_picture = _shape(image, flow), -(-h // BAND)
    bands = n * bands_of_picture
    cells = flow.new_empty((bands, channels // 4 + 1, BAND, w, 4))
    progress = flow.new_zeros(2 * (LINE + bands), dtype=torch.int32)
    pointers = [tensor.data_ptr() for tensor in (image, flow, cells, warped, coverage, progress)]
    forward = _struct(_REALS[flow.dtype], 6)((ctypes.c_void_p * 6)(*pointers), shape, eps)
    _launch("reach", flow, _blocks(n, bands_of_picture, w), flow, progress[LINE:], shape)
    _launch("forward", flow, (_resident_blocks(flow.device) if flow.numel() else 0, 1, 1), forward)


@cache
def _resident_blocks(device: torch.device) -> int:
    """As many as run at once (`__launch_bounds__`)."""
    return 3 * torch.cuda.get_device_properties(device).multi_processor_count


def _splat_in_order(image: Tensor, flow: Tensor, warped: Tensor, coverage: Tensor, eps: float) -> None:
    """In integers, whose sums do not depend on their order."""
    n, channels, h, w = warped.shape
    shape, scales = _shape(image, flow), _fixed_point_scales(image)
    cells = flow.new_zeros((n, channels + 1, h * w), dtype=torch.int64)
    warped.zero_()
    blocks = _blocks(n, h, w)
    _launch("splat_fixed", flow, blocks, image, flow, cells, warped, scales, shape)
    _launch("normalise_fixed", flow, blocks, cells, warped, coverage, scales, shape, _REALS[flow.dtype](eps))


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
    gradient = _struct(_REALS[flow.dtype], 8)((ctypes.c_void_p * 8)(*pointers), _shape(image, flow), eps)
    _launch("gather", flow, _blocks(min(n, len(image)) if needed[0] else n, h, w), gradient)
    return grad_image.to(image.dtype), grad_flow


@cache
def _struct(real: type, tensors: int) -> type[ctypes.Structure]:
    """`Forward`, of six tensors, or `Gradient`, of eight, of the kernels."""
    fields = [("tensors", ctypes.c_void_p * tensors), ("shape", Shape), ("eps", real)]
    return type("Arguments", (ctypes.Structure,), {"_fields_": fields})


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


# From source to function.


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
    binary = compiled(10 * major + minor)
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


def compiled(capability: int) -> bytes:
    """The kernels for a compute capability (90 for 9.0), from the cache or compiled into it."""
    source = SOURCE.read_bytes()
    key = hashlib.sha256(repr((source, OPTIONS, capability, nvrtc_version())).encode()).hexdigest()
    path = _cache_folder() / f"{key}.bin"
    try:
        return path.read_bytes()
    except OSError:
        binary, _ = compile_source(source, capability)
        _publish(binary, path)
        return binary


def _cache_folder() -> Path:
    return Path(os.environ.get("DEFORM_CACHE_DIR") or user_cache_path("deform")) / "kernels"


def _publish(binary: bytes, path: Path) -> None:
    """Write it so that no other process ever reads half of it; a cache that cannot be written is done without."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(binary)
        Path(file.name).replace(path)
    except OSError:
        return


# NVRTC.


@cache
def _nvrtc() -> ctypes.CDLL:
    """The NVRTC that came with torch, else the system's."""
    for path in _nvrtc_files():
        try:
            return ctypes.CDLL(str(path))
        except OSError:
            continue
    raise OSError("NVRTC is missing: it comes with torch's CUDA build, or as nvidia-cuda-nvrtc")


def _nvrtc_files() -> list[Path]:
    pattern = "nvrtc64_*.dll" if sys.platform == "win32" else "libnvrtc.so*"
    packages = Path(sysconfig.get_path("purelib"))
    files = [*Path(torch.__file__).parent.glob(f"lib/{pattern}"), *packages.glob(f"nvidia/*/lib/{pattern}")]
    return [*(file for file in files if "builtins" not in file.name), Path("libnvrtc.so")]


def nvrtc_version() -> tuple[int, int]:
    major, minor = ctypes.c_int(), ctypes.c_int()
    _nvrtc().nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    return major.value, minor.value


def compile_source(source: bytes, capability: int, *options: str) -> tuple[bytes, str]:
    """A cubin for the capability, or PTX of the latest before it if NVRTC does not know it; and NVRTC's log.

    Raises:
        RuntimeError: the source does not compile; with NVRTC's log.
    """
    nvrtc, program = _nvrtc(), ctypes.c_void_p()
    known = max((known for known in _known_capabilities() if known <= capability), default=capability)
    kind = "sm" if known == capability else "compute"
    flags = [f"--gpu-architecture={kind}_{known}".encode(), *(flag.encode() for flag in (*OPTIONS, *options))]
    nvrtc.nvrtcCreateProgram(ctypes.byref(program), source, SOURCE.name.encode(), 0, None, None)
    try:
        status = nvrtc.nvrtcCompileProgram(program, len(flags), (ctypes.c_char_p * len(flags))(*flags))
        log = _fetch(program, "ProgramLog").rstrip(b"\0").decode(errors="replace")
        if status:
            raise RuntimeError(f"NVRTC could not compile {SOURCE.name}: {log}")
        return _fetch(program, "CUBIN" if kind == "sm" else "PTX"), log
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def _known_capabilities() -> list[int]:
    count = ctypes.c_int()
    _nvrtc().nvrtcGetNumSupportedArchs(ctypes.byref(count))
    capabilities = (ctypes.c_int * count.value)()
    _nvrtc().nvrtcGetSupportedArchs(capabilities)
    return list(capabilities)


def _fetch(program: ctypes.c_void_p, what: str) -> bytes:
    size = ctypes.c_size_t()
    getattr(_nvrtc(), f"nvrtcGet{what}Size")(program, ctypes.byref(size))
    buffer = ctypes.create_string_buffer(size.value)
    getattr(_nvrtc(), f"nvrtcGet{what}")(program, buffer)
    return buffer.raw
