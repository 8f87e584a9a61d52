"""The CUDA implementation: compiled here for real and, with a GPU, run; `test_cuda_emulated.py` runs it without one."""

import ctypes
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch

from deformcli.warp import cuda, forward, forward_warp, reference
from deformcli.warp.fill import nearest_known

CAPABILITIES = (75, 80, 90, 120)
WARPS = ("reach", "forward", "splat_fixed", "normalise_fixed", "gather")
KERNELS = [*(f"{name}_{t}" for name in WARPS for t in ("f32", "f64")), "nearest_rows_u8", "nearest_columns_u8"]

try:
    NO_NVRTC = "" if cuda.nvrtc_version() else "NVRTC has no version"
except OSError as error:
    NO_NVRTC = str(error)
GPU, NO_GPU = cuda.available()
needs_nvrtc = pytest.mark.skipif(bool(NO_NVRTC), reason=NO_NVRTC)
needs_gpu = pytest.mark.skipif(not GPU, reason=NO_GPU)


# What NVRTC makes of the source.


@needs_nvrtc
@pytest.mark.parametrize("capability", CAPABILITIES)
def test_compiles_without_spills(capability):
    binary, log = cuda.compile_source(cuda.SOURCE.read_bytes(), capability, "--ptxas-options=-v")
    assert binary.startswith(b"\x7fELF")
    for kernel in KERNELS:
        assert f".text.{kernel}\0".encode() in binary
        assert kernel in log
    unspilled = "0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads"
    assert log.count("bytes spill stores") == log.count(unspilled) == len(KERNELS)


@needs_nvrtc
@pytest.mark.parametrize(("capability", "whole"), [(85, False), (99, True)])  # PTX for 8.0 and 9.0
def test_hopper_adds_whole_cells(capability, whole):
    ptx, _ = cuda.compile_source(cuda.SOURCE.read_bytes(), capability)
    assert (b"red.global.add.v4.f32" in ptx) == whole


@needs_nvrtc
@pytest.mark.parametrize(("suffix", "real"), [("f32", ctypes.c_float), ("f64", ctypes.c_double)])
@pytest.mark.parametrize(("kernel", "tensors"), [("forward", 6), ("gather", 8)])
def test_arguments_have_the_compilers_size(kernel, tensors, suffix, real):
    ptx, _ = cuda.compile_source(cuda.SOURCE.read_bytes(), 85)
    size = ctypes.sizeof(cuda._struct(real, tensors))
    assert f".param .align 8 .b8 {kernel}_{suffix}_param_0[{size}]".encode() in ptx


@needs_nvrtc
def test_a_device_newer_than_nvrtc_gets_ptx():
    ptx, _ = cuda.compile_source(cuda.SOURCE.read_bytes(), 9999)
    assert b".visible .entry forward_f32" in ptx


@needs_nvrtc
def test_a_broken_source_says_why():
    with pytest.raises(RuntimeError, match=r"(?s)NVRTC could not compile forward_warp.cu: .*nonsense"):
        cuda.compile_source(b"nonsense", 90)


# The cache.


@needs_nvrtc
def test_compiled_once(tmp_path, monkeypatch):
    monkeypatch.setenv("DEFORM_CACHE_DIR", str(tmp_path))
    first = cuda.compiled(80)
    assert [path.read_bytes() for path in (tmp_path / "kernels").iterdir()] == [first]
    monkeypatch.setattr(cuda, "compile_source", lambda *arguments: pytest.fail("compiled again"))
    assert cuda.compiled(80) == first
    with pytest.raises(pytest.fail.Exception):
        cuda.compiled(90)


@needs_nvrtc
def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, monkeypatch):
    (tmp_path / "kernels").touch()  # a file where the folder should be
    monkeypatch.setenv("DEFORM_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(cuda, "compile_source", lambda *arguments: (b"binary", ""))
    assert cuda.compiled(80) == b"binary"


# What it does without what it needs.


def test_without_a_device_it_says_so(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert cuda.available() == (False, "torch sees no CUDA device")


def test_without_nvrtc_one_warning_and_the_reference(monkeypatch):
    monkeypatch.setattr(cuda, "_nvrtc_files", lambda: [Path("/nowhere/libnvrtc.so")])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 7)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    cuda._nvrtc.cache_clear()
    forward.best_implementation.cache_clear()
    try:
        with pytest.warns(UserWarning, match="without its CUDA kernels, slower: NVRTC is missing"):
            assert forward.best_implementation("cuda") is reference
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert forward.best_implementation("cuda") is reference
    finally:
        cuda._nvrtc.cache_clear()
        forward.best_implementation.cache_clear()


def test_a_cpu_tensor_is_refused():
    with pytest.raises(ValueError, match="impl: 'cuda' runs on cuda tensors, got a tensor on cpu"):
        forward_warp(torch.zeros(1, 3, 4, 5), torch.zeros(1, 2, 4, 5), impl="cuda")


# The benchmark's peer, in Triton's interpreter.

PEER = """
import torch
from triton_warp import triton_warp
from deformcli.warp import forward_warp

torch.manual_seed(0)
for images in (3, 1):
    image, flow = torch.randn(images, 2, 9, 14), torch.randn(3, 2, 9, 14) * 2
    image.requires_grad_(), flow.requires_grad_()
    for weights in (torch.randn(3, 2, 9, 14), torch.zeros(3, 2, 9, 14)):
        found = []
        for warp in (triton_warp, forward_warp):
            warped, coverage = warp(image, flow, eps=0.1)  # a cell barely covered must not make rounding large
            loss = (warped * weights).sum() + coverage.square().sum()
            found.append((warped, coverage, *torch.autograd.grad(loss, (image, flow))))
        torch.testing.assert_close(*found, atol=1e-3, rtol=1e-3)
"""


def test_the_benchmarks_triton_kernels_compute_the_same():
    pytest.importorskip("triton")
    benchmarks = Path(__file__).parents[2] / "benchmarks"
    environment = os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": str(benchmarks)}
    subprocess.run([sys.executable, "-c", PEER], env=environment, check=True)


# On a device.


@needs_gpu
def test_nearest_known_on_the_device():
    known = (torch.rand(4, 1, 300, 500) < 0.01).float()
    assert torch.equal(nearest_known(known.cuda()).cpu(), nearest_known(known))


@needs_gpu
def test_a_picture_of_more_bands_than_are_kept(make_flow):
    image, flow = torch.randn(1, 3, 8192, 1024), make_flow("smooth", 1, 8192, 1024, torch.float32)
    for _ in range(5):
        outputs = forward_warp(image.cuda(), flow.cuda(), eps=0.1, impl="cuda")
        torch.testing.assert_close(
            [o.cpu() for o in outputs], list(forward_warp(image, flow, eps=0.1)), atol=1e-4, rtol=1e-4
        )


@needs_gpu
def test_deterministic_runs_are_equal(make_flow):
    image = torch.randn(2, 3, 200, 300, device="cuda")
    flow = make_flow("one_cell", 2, 200, 300, torch.float32).cuda()
    torch.use_deterministic_algorithms(True)
    try:
        first = forward_warp(image, flow, impl="cuda")
        for _ in range(5):
            for one, other in zip(first, forward_warp(image, flow, impl="cuda"), strict=True):
                assert torch.equal(one, other)
    finally:
        torch.use_deterministic_algorithms(False)


@needs_gpu
def test_streams(make_flow):
    image, flow = torch.randn(1, 3, 500, 500, device="cuda"), make_flow("smooth", 1, 500, 500, torch.float32).cuda()
    expected = forward_warp(image, flow, impl="cuda")[0]
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        warped = forward_warp(image * 2, flow, impl="cuda")[0]
    torch.cuda.current_stream().wait_stream(stream)
    torch.testing.assert_close(warped, expected * 2, atol=1e-4, rtol=1e-4)


@needs_gpu
def test_graph_capture(make_flow):
    image, flow = torch.randn(1, 3, 64, 64, device="cuda"), make_flow("smooth", 1, 64, 64, torch.float32).cuda()
    forward_warp(image, flow, impl="cuda")
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        warped, _ = forward_warp(image, flow, impl="cuda")
    image.copy_(torch.randn_like(image))
    graph.replay()
    torch.testing.assert_close(warped, forward_warp(image, flow, impl="cuda")[0], atol=1e-4, rtol=1e-4)


@needs_gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="one device")
def test_a_device_that_is_not_the_current_one(make_flow):
    image, flow = torch.randn(1, 3, 20, 20), make_flow("smooth", 1, 20, 20, torch.float32)
    there = forward_warp(image.to("cuda:1"), flow.to("cuda:1"), impl="cuda")[0]
    assert there.device.index == 1
    torch.testing.assert_close(there.cpu(), forward_warp(image, flow)[0], atol=1e-4, rtol=1e-4)
