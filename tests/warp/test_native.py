"""The C++ library: threads, memory, building; its values are tested with the other implementations'."""

import os
import platform
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

from deformcli.warp import native, reference

ROOT = Path(__file__).parents[2]
COMPILER = shutil.which(os.environ.get("CXX", "c++"))
MEMORY = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 0
BUILT, WHY_NOT = native.available()
needs_library = pytest.mark.skipif(not BUILT, reason=WHY_NOT)


@needs_library
@pytest.mark.parametrize("shape", [(1, 1, 150, 64), (3, 3, 70, 33), (4, 1, 90, 40), (2, 2, 9, 7)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_threads_never_show_in_the_result(monkeypatch, kind, make_flow, shape, dtype):
    n, batch, h, w = shape
    image, flow = torch.randn(batch, 4, h, w, dtype=dtype), make_flow(kind, n, h, w, dtype)
    grads = torch.randn(n, 4, h, w, dtype=dtype), torch.randn(n, 1, h, w, dtype=dtype)
    monkeypatch.setattr(native, "PARALLEL_PIXELS", 0)
    results = []
    for threads in (1, 2, 3, 8):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        outputs = native.forward_warp(image, flow, 1e-6)
        results.append((*outputs, *native.forward_warp_backward(grads, (image, flow), outputs, 1e-6)))
    for other in results[1:]:
        for one, many in zip(results[0], other, strict=True):
            assert torch.equal(one, many)


def results(functions, image, flow, grads) -> list[torch.Tensor]:
    """Outputs and gradients by way of a library's `functions`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "_functions", lambda: functions)
        outputs = native.forward_warp(image, flow, 1e-6)
        return [*outputs, *native.forward_warp_backward(grads, (image, flow), outputs, 1e-6)]


def assert_same_bits(one, other):
    for left, right in zip(one, other, strict=True):
        assert torch.equal(left.isnan(), right.isnan())
        assert torch.equal(left.nan_to_num(), right.nan_to_num())


@needs_library
@pytest.mark.parametrize(
    "shape", [(1, 1, 3, 70, 66), (3, 1, 3, 40, 33), (2, 2, 1, 9, 7), (2, 1, 7, 20, 19), (1, 1, 3, 1, 1)]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_instruction_set_gives_the_same_bits(kind, make_flow, shape, dtype):
    n, batch, channels, h, w = shape
    image, flow = torch.randn(batch, channels, h, w, dtype=dtype), make_flow(kind, n, h, w, dtype)
    image[torch.rand_like(image) < 0.01] = float("nan")
    grads = torch.randn(n, channels, h, w, dtype=dtype), torch.randn(n, 1, h, w, dtype=dtype)
    first, *others = [results(native.warp_functions(path), image, flow, grads) for path in native.libraries()]
    for other in others:
        assert_same_bits(first, other)


@needs_library
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_sorting_never_shows_in_the_result(monkeypatch, make_flow, dtype):
    """One thread has too many rows in flight and sorts the pixels; each of many has few, and does not."""
    h, w = 601, 603
    image, flow = torch.randn(1, 3, h, w, dtype=dtype), make_flow("rough", 2, h, w, dtype)
    flow[torch.rand_like(flow) < 0.01] = float("nan")
    grads = torch.randn(2, 3, h, w, dtype=dtype), torch.randn(2, 1, h, w, dtype=dtype)
    monkeypatch.setattr(native, "PARALLEL_PIXELS", 0)
    found = []
    for threads in (1, 37):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        found += [results(native.warp_functions(path), image, flow, grads) for path in native.libraries()]
    for other in found[1:]:
        assert_same_bits(found[0], other)
    expected = reference.forward_warp(image.double(), flow.double(), 1e-6)
    torch.testing.assert_close([tensor.double() for tensor in found[0][:2]], list(expected), atol=1e-4, rtol=1e-4)
    doubles = [(grads[0].double(), grads[1].double()), (image.double(), flow.double())]
    outputs = [tensor.double() for tensor in found[0][:2]]
    for gradient, right in zip(found[0][2:], reference.forward_warp_backward(*doubles, outputs, 1e-6), strict=True):
        scale = right.abs().max()
        torch.testing.assert_close(gradient.double() / scale, right / scale, atol=1e-5, rtol=0)


@needs_library
def test_a_strange_color_of_a_sorted_pixel_reaches_only_cells_of_weight():
    h, w = 601, 603
    y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    flow = torch.stack([w - 1 - 2 * x, h - 1 - 2 * y]).float()[None]  # upside down: all rows are in flight
    image = torch.ones(1, 3, h, w)
    image[0, 1, 5, 7] = float("nan")
    warped, coverage = native.forward_warp(image, flow, 1e-6)
    assert warped.isnan().nonzero().tolist() == [[0, 1, h - 6, w - 8]]
    assert torch.equal(coverage, torch.ones_like(coverage))


@pytest.mark.slow
@pytest.mark.skipif(MEMORY < 20 << 30, reason="needs 20 GiB of memory, of which it uses 12")
@needs_library
def test_indices_of_more_than_32_bits(make_flow):
    """Of images and flows, memory holds the last ones alone; of what is written, all: 12 GB."""
    n, side = 721, 1024
    image, flow, grad_warped = (torch.empty(n, channels, side, side) for channels in (3, 2, 3))
    grad_coverage = torch.empty(n, 1, side, side)
    image[-1], flow[-1] = torch.randn(3, side, side), make_flow("smooth", 1, side, side, torch.float32)[0]
    grad_warped[-1], grad_coverage[-1] = torch.randn(3, side, side), torch.randn(1, side, side)
    outputs = native.forward_warp(image, flow, 0.1)
    last = [tensor[-1:].clone() for tensor in (grad_warped, grad_coverage, image, flow, *outputs)]
    del outputs  # what follows reads copies of the last picture alone
    sparse = torch.empty_like(image), torch.empty_like(grad_coverage)
    for whole, own in zip(sparse, last[4:], strict=True):
        whole[-1:] = own
    grads, inputs = (grad_warped, grad_coverage), (image, flow)
    grad_image, _ = native.forward_warp_backward(grads, inputs, sparse, 0.1, needed=(True, False))
    expected = reference.forward_warp(*last[2:4], 0.1)
    torch.testing.assert_close(last[4:], list(expected), atol=1e-5, rtol=1e-4)
    expected_gradient, _ = reference.forward_warp_backward(last[:2], last[2:4], expected, 0.1)
    torch.testing.assert_close(grad_image[-1:], expected_gradient, atol=1e-4, rtol=1e-4)


@needs_library
def test_only_large_inputs_wake_threads(monkeypatch):
    """A forked worker must not meet a thread pool for a small picture."""
    asked = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: asked.append(1) or 1)
    native.forward_warp(torch.zeros(1, 3, 128, 128), torch.zeros(1, 2, 128, 128), 1e-6)
    assert not asked
    native.forward_warp(torch.zeros(1, 3, 512, 512), torch.zeros(1, 2, 512, 512), 1e-6)
    assert asked


@needs_library
@pytest.mark.parametrize("step", [-20, 20])
def test_rows_that_no_source_reaches_are_written(step):
    """The upper half moves by -step, the lower by +step: apart, leaving holes between, or past each other."""
    flow = torch.zeros(1, 2, 60, 8)
    flow[:, 1, :30], flow[:, 1, 30:] = -step, step
    warped, coverage = native.forward_warp(torch.ones(1, 3, 60, 8), flow, 1e-6)
    targets = [row + (-step if row < 30 else step) for row in range(60)]
    expected = torch.tensor([float(targets.count(row)) for row in range(60)])
    assert torch.equal(coverage[0, 0, :, 3], expected)
    assert torch.equal(warped[0, 0, :, 3] > 0, expected > 0)


def test_a_missing_library_is_reported(monkeypatch, tmp_path):
    monkeypatch.setattr(native, "LIBRARY", tmp_path / "_forward_warp.so")
    native._functions.cache_clear()
    try:
        usable, reason = native.available()
        assert not usable and "_forward_warp.so" in reason
    finally:
        native._functions.cache_clear()


def build_wheel(folder: Path, **environment: str) -> list[str]:
    """Build the project's wheel from a copy; returns the names of the files in it."""
    source = folder / "source"
    for name in ("src", "plugins"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("*.so", "*.egg-info", "__pycache__"))
    for name in ("pyproject.toml", "setup.py"):
        shutil.copy(ROOT / name, source)
    (source / "README.md").touch()
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", folder, source]
    subprocess.run(command, env={**os.environ, **environment}, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return zipfile.ZipFile(wheel).namelist()


@pytest.mark.skipif(COMPILER is None, reason="no C++ compiler")
def test_a_compiler_builds_the_library(tmp_path):
    names = build_wheel(tmp_path)
    assert f"deformcli/warp/{native.LIBRARY.name}" in names
    if sys.platform == "linux" and platform.machine() == "x86_64":
        for level in native.X86_LEVELS:
            assert f"deformcli/warp/{native.LIBRARY.stem}_v{level}.so" in names


def test_without_a_compiler_the_install_succeeds(tmp_path):
    names = build_wheel(tmp_path, CC="/nowhere/cc", CXX="/nowhere/c++")
    assert "deformcli/warp/native.py" in names
    for name in ("forward_warp.cpp", "forward.h", "gather.h", "backward.h", "landing.h", "memory.h", "vectors.h"):
        assert f"deformcli/warp/csrc/{name}" in names
    assert f"deformcli/warp/{native.LIBRARY.name}" not in names


ARM = [shutil.which("aarch64-linux-gnu-g++"), shutil.which("qemu-aarch64")]


@pytest.mark.skipif(None in (*ARM, COMPILER), reason="needs c++, aarch64-linux-gnu-g++ and qemu-aarch64")
def test_64_bit_arm_computes_the_same_bits(tmp_path):
    sources = [Path(__file__).with_name("print_warp.cpp"), ROOT / "src/deformcli/warp/csrc/forward_warp.cpp"]
    printed = []
    for compiler, *emulator in ([COMPILER], ARM):
        program = tmp_path / f"program-{len(printed)}"
        subprocess.run(
            [compiler, "-std=c++17", "-O3", "-ffp-contract=off", "-static", *sources, "-o", program], check=True
        )
        printed.append(subprocess.run([*emulator, program], check=True, capture_output=True).stdout)
    assert printed[0] == printed[1]
    assert len(printed[0].split()) == 2 * 61 * 83 * 9
