"""What the CUDA kernels compute and how they are launched, on a fake driver that emulates them on the CPU."""

import contextlib
import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from deformcli.warp import cuda, nvrtc, reference

EPS = 1e-6
COMPILER = shutil.which(os.environ.get("CXX", "c++"))


@pytest.fixture(scope="module")
def emulation(tmp_path_factory) -> ctypes.CDLL:
    if COMPILER is None:
        pytest.skip("no C++ compiler")
    library = tmp_path_factory.mktemp("emulation") / "kernels.so"
    source = Path(__file__).with_name("emulate_cuda.h")
    command = [COMPILER, "-std=c++17", "-O2", "-shared", "-fPIC", "-x", "c++", f'-DSOURCE="{nvrtc.SOURCE}"']
    flags = os.environ.get("CXXFLAGS", "").split()  # `make sanitize`
    subprocess.run([*command, *flags, source, "-o", library], check=True)
    return ctypes.CDLL(str(library))


STREAM = 0x1234


@pytest.fixture
def emulated(emulation, monkeypatch) -> list[str]:
    """Launches on a fake driver, which runs the emulation; the names of the kernels that were launched."""
    launched = []
    submit = cuda._submit

    def record(name, *launch):
        launched.append(name)
        submit(name, *launch)

    monkeypatch.setattr(cuda, "_submit", record)
    monkeypatch.setattr(cuda, "_driver", lambda: emulation)
    monkeypatch.setattr(nvrtc, "compiled", lambda capability: b"\x7fELF")
    monkeypatch.setattr(torch.cuda, "device", lambda device: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: SimpleNamespace(cuda_stream=STREAM))
    _forget_handles()
    yield launched
    _forget_handles()


def _forget_handles() -> None:
    for handles in (cuda._function, cuda._module, cuda._context):
        handles.cache_clear()


def test_launches_on_torchs_stream_in_a_context(emulated, emulation):
    flow = torch.zeros(1, 2, 4, 5)
    for _ in range(2):
        emulation.lose_context()  # a new thread has none
        cuda.forward_warp(flow, flow, EPS)
        assert emulation.stream_used() == STREAM


def test_the_drivers_errors_are_raised(emulated, monkeypatch):
    monkeypatch.setattr(nvrtc, "compiled", lambda capability: b"nonsense")
    with pytest.raises(RuntimeError, match=r"CUDA driver: an error \(200\)"):
        cuda.forward_warp(torch.zeros(1, 2, 4, 5), torch.zeros(1, 2, 4, 5), EPS)


@pytest.fixture
def sums_in_order():
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture(params=[False, True], ids=["fast", "deterministic"])
def deterministic(request):
    if request.param:
        request.getfixturevalue("sums_in_order")
    return request.param


def assert_near(actual, expected, tolerance):
    scale = float(expected.abs().max()) + 1 if expected.numel() else 1.0
    torch.testing.assert_close(actual.double() / scale, expected.double() / scale, rtol=0, atol=tolerance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "shape", [(1, 1, 3, 7, 9), (2, 2, 1, 13, 40), (3, 1, 4, 9, 33), (2, 1, 8, 5, 6), (0, 1, 3, 4, 5)]
)
def test_kernels_are_the_reference(emulated, deterministic, kind, make_flow, dtype, shape):
    n, batch, channels, h, w = shape
    image, flow = torch.randn(batch, channels, h, w, dtype=dtype), make_flow(kind, n, h, w, dtype)
    outputs = cuda.forward_warp(image, flow, EPS)
    expected = reference.forward_warp(image.double(), flow.double(), EPS)
    grads = torch.randn_like(outputs[0]), torch.randn_like(outputs[1])
    inputs = image, flow
    gradients = cuda.forward_warp_backward(grads, inputs, outputs, EPS)
    doubles = [tuple(tensor.double() for tensor in pair) for pair in (grads, inputs, outputs)]
    expected_gradients = reference.forward_warp_backward(*doubles, EPS)
    tolerance = 1e-4 if dtype == torch.float32 else 1e-9
    for actual, right in zip((*outputs, *gradients), (*expected, *expected_gradients), strict=True):
        assert actual.dtype == dtype
        assert_near(actual, right, tolerance)
    suffix = f"{'_fixed' if deterministic else ''}_{'f32' if dtype == torch.float32 else 'f64'}"
    assert emulated == ([f"splat{suffix}", f"normalise{suffix}", f"gather_{suffix[-3:]}"] if n else [])


@pytest.mark.parametrize("needed", [(True, False), (False, True)])
@pytest.mark.parametrize("images", [3, 1])
def test_gradients_that_are_needed(emulated, make_flow, images, needed):
    image, flow = torch.randn(images, 2, 9, 14), make_flow("smooth", 3, 9, 14, torch.float32)
    outputs = reference.forward_warp(image, flow, 0.1)
    arguments = tuple(torch.randn_like(output) for output in outputs), (image, flow), outputs, 0.1, needed
    expected = reference.forward_warp_backward(*arguments)
    assert [gradient.numel() > 0 for gradient in expected] == list(needed)
    torch.testing.assert_close(cuda.forward_warp_backward(*arguments), expected, atol=1e-5, rtol=1e-4)


def test_kernels_are_tried_out_before_use(emulated, monkeypatch):
    cuda._try_out.__wrapped__(torch.device("cpu"))
    assert emulated == ["splat_f32", "normalise_f32", "gather_f32"]
    monkeypatch.setattr(cuda, "_submit", lambda *launch: None)
    with pytest.raises(RuntimeError, match="something else than the reference"):
        cuda._try_out.__wrapped__(torch.device("cpu"))


def test_strange_colors_reach_only_cells_of_weight(emulated, deterministic):
    image, flow = torch.ones(1, 3, 4, 5), torch.zeros(1, 2, 4, 5)
    image[0, 1, 1, 2], image[0, 2, 3, 3] = float("nan"), float("-inf")
    warped, coverage = cuda.forward_warp(image, flow, EPS)
    assert torch.equal(warped.isnan(), image.isnan()) and torch.equal(warped.isinf(), image.isinf())
    torch.testing.assert_close(coverage, torch.ones(1, 1, 4, 5))
    torch.testing.assert_close(warped[:, 0], torch.ones(1, 4, 5))


def test_only_deterministic_sums_do_not_depend_on_the_order_of_threads(emulated, emulation, deterministic, make_flow):
    image, flow = torch.randn(1, 3, 30, 40), make_flow("one_cell", 1, 30, 40, torch.float32)
    found = []
    for seed in range(4):
        emulation.seed(seed)
        found.append(torch.cat(cuda.forward_warp(image, flow, EPS), 1))
    assert all(torch.equal(other, found[0]) for other in found) == deterministic


def test_gradients_of_many_flows_do_not_depend_on_the_order_of_threads(emulated, emulation, make_flow):
    image, flow = torch.randn(1, 3, 9, 14), make_flow("one_cell", 5, 9, 14, torch.float32)
    outputs = reference.forward_warp(image, flow, EPS)
    grads = torch.randn_like(outputs[0]), torch.randn_like(outputs[1])
    found = []
    for seed in range(2):
        emulation.seed(seed)
        found.append(cuda.forward_warp_backward(grads, (image, flow), outputs, EPS))
    assert all(map(torch.equal, *found))


@pytest.mark.parametrize("kind", ["identity", "integer"])
def test_sums_of_nothing_are_not_added(emulated, emulation, make_flow, kind):
    emulation.added_numbers.restype = ctypes.c_long
    before = emulation.added_numbers()
    cuda.forward_warp(torch.randn(1, 3, 64, 64), make_flow(kind, 1, 64, 64, torch.float32), EPS)
    assert (emulation.added_numbers() - before) / 64**2 / 4 <= 1  # cells a pixel adds to, four numbers each


PICTURES, SIZE = 16400, 256
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere memory may be taken when it is asked for")


def last_of_many(last: torch.Tensor) -> torch.Tensor:
    """So many pictures that indices take more than 32 bits; memory holds only what is touched: the last one."""
    tensor = torch.empty(PICTURES, *last.shape[1:])
    tensor[-1:] = last
    return tensor


@contextlib.contextmanager
def only_the_last(emulation, monkeypatch):
    """Kernels leave out all pictures before the last, and nothing is cleared: fresh pages are zeros."""
    with monkeypatch.context() as patched:
        patched.setattr(torch.utils.deterministic, "fill_uninitialized_memory", False)
        try:
            torch.empty(PICTURES, 4, SIZE, SIZE)  # as large as the largest, the cells
        except RuntimeError as error:
            pytest.skip(f"no address space: {error}")
        patched.setattr(torch.Tensor, "new_zeros", torch.Tensor.new_empty)
        emulation.begin_at(PICTURES - 1)
        try:
            yield
        finally:
            emulation.begin_at(0)


@pytest.mark.slow
@on_linux
def test_indices_of_more_than_32_bits(emulated, emulation, monkeypatch, make_flow):
    flow = make_flow("smooth", 1, SIZE, SIZE, torch.float32).clamp(-6, 6)
    image, grads = torch.randn(1, 2, SIZE, SIZE), (torch.randn(1, 2, SIZE, SIZE), torch.randn(1, 1, SIZE, SIZE))
    with only_the_last(emulation, monkeypatch):
        inputs = last_of_many(image), last_of_many(flow)
        outputs = cuda.forward_warp(*inputs, 0.1)
        gradients = cuda.forward_warp_backward(tuple(map(last_of_many, grads)), inputs, outputs, 0.1)
    assert min(tensor.numel() for tensor in (*inputs, outputs[0], *gradients)) > 2**31

    expected = reference.forward_warp(image, flow, 0.1)
    expected_gradients = reference.forward_warp_backward(grads, (image, flow), expected, 0.1)
    for found, right in zip((*outputs, *gradients), (*expected, *expected_gradients), strict=True):
        torch.testing.assert_close(found[-1:], right, atol=1e-4, rtol=1e-4)


@pytest.mark.slow
@on_linux
def test_indices_of_more_than_32_bits_in_fixed_point(emulated, emulation, sums_in_order, monkeypatch, make_flow):
    image, flow = torch.randn(1, 1, SIZE, SIZE), make_flow("smooth", 1, SIZE, SIZE, torch.float32).clamp(-6, 6)
    with only_the_last(emulation, monkeypatch):
        flows = last_of_many(flow)
        outputs = cuda.forward_warp(image, flows, 0.1)
    assert flows.numel() > 2**31  # as many numbers as in the cells
    for found, right in zip(outputs, reference.forward_warp(image, flow, 0.1), strict=True):
        torch.testing.assert_close(found[-1:], right, atol=1e-4, rtol=1e-4)


def test_half_images(emulated, make_flow):
    image, flow = torch.randn(1, 3, 6, 7).half(), make_flow("smooth", 2, 6, 7, torch.float32)
    outputs = cuda.forward_warp(image, flow, EPS)
    assert [tensor.dtype for tensor in outputs] == [torch.float16, torch.float32]
    torch.testing.assert_close(outputs, reference.forward_warp(image, flow, EPS))


def test_pictures_beyond_the_grid(emulated, monkeypatch, make_flow):
    """More rows and more pictures than blocks are walked in strides."""
    monkeypatch.setattr(cuda, "MOST_BLOCKS", 2)
    image, flow = torch.randn(5, 3, 50, 6), make_flow("smooth", 5, 50, 6, torch.float32)
    outputs = cuda.forward_warp(image, flow, EPS)
    torch.testing.assert_close(outputs, reference.forward_warp(image, flow, EPS), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("images", [2, 1])
def test_fixed_point_takes_colors_of_any_size(emulated, sums_in_order, make_flow, images, dtype):
    """Beside each other, too."""
    sizes = torch.tensor([1e-30, 1e30, 1.0, 0.0] if dtype == torch.float32 else [1e-280, 1e300, 1.0, 0.0], dtype=dtype)
    colors, flow = torch.rand(images, 4, 30, 20, dtype=dtype) + 1, make_flow("smooth", 2, 30, 20, dtype)
    warped, coverage = cuda.forward_warp(colors * sizes.view(1, 4, 1, 1), flow, 0.1)
    expected = reference.forward_warp(colors, flow, 0.1)
    torch.testing.assert_close(coverage, expected[1])
    assert not warped[:, 3].any()
    for channel in range(3):
        torch.testing.assert_close(warped[:, channel] / sizes[channel], expected[0][:, channel], atol=1e-5, rtol=1e-5)


def test_fixed_point_holds_all_pixels_in_one_cell(emulated, sums_in_order):
    image = torch.full((1, 1, 64, 64), 1e6)
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    warped, coverage = cuda.forward_warp(image, torch.stack([30 - x, 30 - y])[None], EPS)
    assert float(coverage[0, 0, 30, 30]) == 64 * 64
    torch.testing.assert_close(float(warped[0, 0, 30, 30]), 1e6)


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 9, 40), (3, 33, 7), (1, 1, 70), (0, 3, 4)])
@pytest.mark.parametrize("density", [0.0, 0.01, 0.1, 0.6])
def test_nearest_known_is_the_reference(emulated, shape, density):
    present = torch.rand(shape, generator=torch.Generator().manual_seed(0)) < density
    assert torch.equal(cuda.nearest_known(present), reference.nearest_known(present))
    assert emulated == (["nearest_rows_u8", "nearest_columns_u8"] if shape[0] else [])
