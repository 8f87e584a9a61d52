"""The CUDA implementation on a GPU, and what it does without one; `test_cuda_emulated.py` emulates its kernels."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch

from deformcli.warp import cuda, forward, forward_warp, nvrtc, reference
from deformcli.warp.fill import nearest_known

GPU, NO_GPU = cuda.available()
needs_gpu = pytest.mark.skipif(not GPU, reason=NO_GPU)


# What it does without what it needs.


def test_without_a_device_it_says_so(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert cuda.available() == (False, "torch sees no CUDA device")


def test_without_nvrtc_one_warning_and_the_reference(monkeypatch):
    monkeypatch.setattr(nvrtc, "_library_files", lambda: [Path("/nowhere/libnvrtc.so")])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 7)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    nvrtc._library.cache_clear()
    forward.best_implementation.cache_clear()
    try:
        with pytest.warns(UserWarning, match="without its CUDA kernels, slower: NVRTC is missing"):
            assert forward.best_implementation("cuda") is reference
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert forward.best_implementation("cuda") is reference
    finally:
        nvrtc._library.cache_clear()
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
def test_a_large_picture(make_flow):
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
