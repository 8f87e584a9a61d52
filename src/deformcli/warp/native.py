"""The forward warp and the hole fills on the CPU in C++ (`csrc/`), called through ctypes.

The libraries are built when the package is installed, where there is a compiler; `available` says why they are missing.
On x86-64 the warp is there for several instruction sets: the processor's best is taken, and all give the same bits.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from .reference import BOTH, Needed, Pair

PARALLEL_PIXELS = 1 << 18  # below this, waking threads costs more than they save

_SUFFIX = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")
LIBRARY = Path(__file__).with_name("_forward_warp" + _SUFFIX)
X86_LEVELS = (3, 4)  # of x86-64, for which the warp has a library of its own

_SHAPE = (ctypes.c_int64, ctypes.c_int64, ctypes.c_int, ctypes.c_int, ctypes.c_int)  # batches, channels, height, width
_OPTIONS = (ctypes.c_double, ctypes.c_int)  # eps, threads
_SUFFIXES = {torch.float32: "f32", torch.float64: "f64"}
_Functions = dict[tuple[str, torch.dtype], Callable[..., int]]


def available() -> tuple[bool, str]:
    """Whether the library could be loaded, and what it is or why not."""
    try:
        _functions()
    except (OSError, AttributeError) as error:
        return False, f"not built, or not for this machine: {error}"
    return True, str(libraries()[-1])


def libraries() -> list[Path]:
    """The libraries with a warp that this processor can run, the best one last."""
    level = ctypes.CDLL(str(LIBRARY)).deform_x86_level()
    more = [LIBRARY.with_stem(f"{LIBRARY.stem}_v{known}") for known in X86_LEVELS if known <= level]
    return [LIBRARY, *(library for library in more if library.exists())]


def warp_functions(path: Path) -> _Functions:
    """The warp's entry points in a library, by name and dtype."""
    library = ctypes.CDLL(str(path))
    functions: _Functions = {}
    for name, tensors in (("forward_warp", 4), ("forward_warp_backward", 8)):
        for dtype, suffix in _SUFFIXES.items():
            function = library[f"deform_{name}_{suffix}"]
            function.argtypes = (*[ctypes.c_void_p] * tensors, *_SHAPE, *_OPTIONS)
            function.restype = ctypes.c_int
            functions[name, dtype] = function
    return functions


@cache
def _functions() -> _Functions:
    """All entry points: the best library's warp, and the fills."""
    functions, library = warp_functions(libraries()[-1]), ctypes.CDLL(str(LIBRARY))
    nearest = library["deform_nearest_known"]
    nearest.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, *[ctypes.c_int] * 3)
    functions["nearest_known", torch.uint8] = nearest
    smooth = library["deform_smooth_fill"]
    smooth.argtypes = (
        ctypes.c_void_p,
        ctypes.c_void_p,
        ctypes.c_int64,
        *[ctypes.c_int] * 4,
        ctypes.c_float,
        ctypes.c_int,
    )
    functions["smooth_fill", torch.float32] = smooth
    return functions


def _threads(pixels: int) -> int:
    return torch.get_num_threads() if pixels >= PARALLEL_PIXELS else 1


def forward_warp(image: Tensor, flow: Tensor, eps: float) -> Pair:
    """Splat `image` along `flow`; the contract is documented in `forward.py`."""
    (m, c, h, w), n, dtype = image.shape, flow.shape[0], flow.dtype
    half = image.dtype != dtype  # `to` is not free where there is nothing to convert
    colors, flow = (image.to(dtype) if half else image).contiguous(), flow.contiguous()
    warped, coverage = flow.new_empty(n, c, h, w), flow.new_empty(n, 1, h, w)
    pointers = colors.data_ptr(), flow.data_ptr(), warped.data_ptr(), coverage.data_ptr()
    if _functions()["forward_warp", dtype](*pointers, n, m, c, h, w, eps, _threads(n * h * w)):
        raise MemoryError("forward_warp: no memory for the rows in flight")
    return warped.to(image.dtype) if half else warped, coverage


def forward_warp_backward(grads: Pair, inputs: Pair, outputs: Pair, eps: float, needed: Needed = BOTH) -> Pair:
    """Closed-form gradient of `forward_warp`, a pure gather; the one that is not needed is not written."""
    image, flow = inputs
    (m, c, h, w), n, dtype = image.shape, flow.shape[0], flow.dtype
    tensors = [
        (tensor if tensor.dtype == dtype else tensor.to(dtype)).contiguous() for tensor in (*grads, *inputs, *outputs)
    ]
    allocate = torch.empty_like if n else torch.zeros_like  # without flows nothing is written
    gradients = [allocate(t) if wanted else t.new_empty(0) for t, wanted in zip(tensors[2:4], needed, strict=True)]
    pointers = [tensor.data_ptr() for tensor in (*tensors, *gradients)]
    if _functions()["forward_warp_backward", dtype](*pointers, n, m, c, h, w, eps, _threads(n * h * w)):
        raise MemoryError("forward_warp_backward: no memory for the rows in flight")
    return gradients[0].to(image.dtype) if image.dtype != dtype else gradients[0], gradients[1]


def nearest_known(present: Tensor) -> Tensor:
    """Index (N, H, W) into H * W of the nearest pixel that is `present` (N, H, W); the contract is in `fill.py`."""
    n, h, w = present.shape
    present = present.byte().contiguous()
    index = torch.empty(present.shape, dtype=torch.int64)
    function = _functions()["nearest_known", torch.uint8]
    if h * w and function(present.data_ptr(), index.data_ptr(), n, h, w, _threads(h * w)):
        raise MemoryError("nearest_known: no memory for one picture's rows")
    return index


def smooth_fill(guess: Tensor, present: Tensor, iterations: int, tolerance: float) -> Tensor:
    """`guess` (N, C, H, W) float32 made biharmonic where `present` (N, H, W) is not; the contract is in `fill.py`."""
    n, c, h, w = guess.shape
    filled, present = guess.clone(memory_format=torch.contiguous_format), present.byte().contiguous()
    threads = min(n, torch.get_num_threads())  # a picture each: some ten thousand operations a pixel
    function = _functions()["smooth_fill", torch.float32]
    if n and function(filled.data_ptr(), present.data_ptr(), n, c, h, w, iterations, tolerance, threads):
        raise MemoryError("smooth_fill: no memory for a picture's holes")
    return filled
