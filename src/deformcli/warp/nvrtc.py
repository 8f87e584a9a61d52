"""The CUDA kernels, compiled by NVRTC, which comes with torch's CUDA build: neither nvcc nor a host compiler is needed.

What it compiled is kept in the user's cache.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import sys
import sysconfig
import tempfile
from functools import cache
from pathlib import Path

import torch
from platformdirs import user_cache_path

SOURCE = Path(__file__).with_name("csrc") / "forward_warp.cu"
OPTIONS = ("--std=c++17",)


def compiled(capability: int) -> bytes:
    """The kernels for a compute capability (90 for 9.0), from the cache or compiled into it."""
    source = SOURCE.read_bytes()
    key = hashlib.sha256(repr((source, OPTIONS, capability, version())).encode()).hexdigest()
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


@cache
def _library() -> ctypes.CDLL:
    """The NVRTC that came with torch, else the system's."""
    for path in _library_files():
        try:
            return ctypes.CDLL(str(path))
        except OSError:
            continue
    raise OSError("NVRTC is missing: it comes with torch's CUDA build, or as nvidia-cuda-nvrtc")


def _library_files() -> list[Path]:
    pattern = "nvrtc64_*.dll" if sys.platform == "win32" else "libnvrtc.so*"
    packages = Path(sysconfig.get_path("purelib"))
    files = [*Path(torch.__file__).parent.glob(f"lib/{pattern}"), *packages.glob(f"nvidia/*/lib/{pattern}")]
    return [*(file for file in files if "builtins" not in file.name), Path("libnvrtc.so")]


def version() -> tuple[int, int]:
    major, minor = ctypes.c_int(), ctypes.c_int()
    _library().nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    return major.value, minor.value


def compile_source(source: bytes, capability: int, *options: str) -> tuple[bytes, str]:
    """A cubin for the capability, or PTX of the latest before it if NVRTC does not know it; and NVRTC's log.

    Raises:
        RuntimeError: the source does not compile; with NVRTC's log.
    """
    nvrtc, program = _library(), ctypes.c_void_p()
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
    _library().nvrtcGetNumSupportedArchs(ctypes.byref(count))
    capabilities = (ctypes.c_int * count.value)()
    _library().nvrtcGetSupportedArchs(capabilities)
    return list(capabilities)


def _fetch(program: ctypes.c_void_p, what: str) -> bytes:
    size = ctypes.c_size_t()
    getattr(_library(), f"nvrtcGet{what}Size")(program, ctypes.byref(size))
    buffer = ctypes.create_string_buffer(size.value)
    getattr(_library(), f"nvrtcGet{what}")(program, buffer)
    return buffer.raw
