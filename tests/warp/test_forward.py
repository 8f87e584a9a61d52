"""The registered op: its contract in every corner, on every implementation that runs here."""

import math
import threading

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck
from torch.fx.experimental.proxy_tensor import make_fx
from torch.library import opcheck
from torch.utils._python_dispatch import TorchDispatchMode

from deformcli.warp import forward_warp, reference
from deformcli.warp.forward import IMPLEMENTATIONS

EPS = 1e-6
NAN, INF = float("nan"), float("inf")


def arbiter(image, flow, grad_warped, grad_coverage):
    """Outputs and gradients of the reference in float64."""
    image, flow = image.detach().cpu().double(), flow.detach().cpu().double()
    outputs = reference.forward_warp(image, flow, EPS)
    grads = grad_warped.cpu().double(), grad_coverage.cpu().double()
    return outputs, reference.forward_warp_backward(grads, (image, flow), outputs, EPS)


def assert_near(actual, expected, tolerance):
    """Within `tolerance` of the expected's largest value; coverages near 0 make a few gradients very large."""
    actual, scale = actual.detach().cpu().double(), float(expected.abs().max()) + 1 if expected.numel() else 1.0
    torch.testing.assert_close(actual / scale, expected / scale, rtol=0, atol=tolerance)


SHAPES = [  # flows, images, channels, height, width
    *[(1, 1, 1, 7, 9), (2, 2, 2, 13, 5), (2, 1, 3, 21, 17), (3, 3, 4, 8, 8), (2, 1, 5, 6, 7), (1, 1, 6, 5, 6)],
    *[(1, 1, 7, 5, 6), (2, 2, 8, 5, 6), (2, 1, 9, 5, 6), (1, 1, 17, 3, 4)],
    *[(1, 1, 3, 1, 12), (2, 2, 3, 11, 1), (1, 1, 3, 1, 1), (0, 0, 3, 4, 5), (0, 1, 3, 4, 5), (1, 1, 0, 4, 5)],
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", SHAPES)
def test_values_and_gradients_are_the_reference(impl, device, kind, make_flow, dtype, shape):
    n, batch, channels, h, w = shape
    image = torch.randn(batch, channels, h, w, dtype=dtype, device=device, requires_grad=True)
    flow = make_flow(kind, n, h, w, dtype).to(device).requires_grad_()
    warped, coverage = forward_warp(image, flow, impl=impl)
    grads = torch.randn_like(warped), torch.randn_like(coverage)
    gradients = torch.autograd.grad((warped, coverage), (image, flow), grads)

    expected, expected_gradients = arbiter(image, flow, *grads)
    tolerance = 1e-11 if dtype == torch.float64 else 1e-4
    for actual, right in zip((warped, coverage, *gradients), (*expected, *expected_gradients), strict=True):
        assert actual.dtype == dtype and actual.is_contiguous()
        assert_near(actual, right, tolerance)


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 12), st.integers(1, 12)),
    shared=st.booleans(),
    reach=st.sampled_from([0.0, 0.7, 3.0, 40.0]),
    grain=st.sampled_from([0.0, 0.5, 1.0]),
    seed=st.integers(0, 2**31),
)
def test_any_shape_and_flow(shape, shared, reach, grain, seed):
    """Every implementation here, on random sizes and flows, part of them at kinks, NaN or infinite."""
    n, channels, h, w = shape
    generator = torch.Generator().manual_seed(seed)
    image = torch.randn(1 if shared else n, channels, h, w, generator=generator, dtype=torch.float64)
    flow = (torch.rand(n, 2, h, w, generator=generator, dtype=torch.float64) * 2 - 1) * reach
    if grain:
        flow = (flow / grain).round() * grain
    flow[torch.rand(flow.shape, generator=generator) < 0.05] = (NAN, INF, -INF)[seed % 3]
    grads = torch.randn(n, channels, h, w, dtype=torch.float64), torch.randn(n, 1, h, w, dtype=torch.float64)
    expected, expected_gradients = arbiter(image, flow, *grads)
    for name, module in IMPLEMENTATIONS.items():
        if name == "reference" or not module.available()[0]:
            continue
        place = "cuda" if name == "cuda" else "cpu"
        inputs = [tensor.to(place).requires_grad_() for tensor in (image, flow)]
        outputs = forward_warp(*inputs, impl=name)
        gradients = torch.autograd.grad(outputs, inputs, [grad.to(place) for grad in grads])
        for actual, right in zip((*outputs, *gradients), (*expected, *expected_gradients), strict=True):
            assert_near(actual, right, 1e-10)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_images_are_summed_in_float32(impl, device, make_flow, dtype):
    image = torch.randn(2, 3, 12, 10, device=device).to(dtype).requires_grad_()
    flow = make_flow("smooth", 2, 12, 10, torch.float32).to(device).requires_grad_()
    warped, coverage = forward_warp(image, flow, impl=impl)
    assert (warped.dtype, coverage.dtype) == (dtype, torch.float32)
    torch.testing.assert_close(warped, forward_warp(image.float(), flow, impl=impl)[0].to(dtype))
    gradients = torch.autograd.grad(warped.float().square().sum() + coverage.sum(), (image, flow))
    assert [gradient.dtype for gradient in gradients] == [dtype, torch.float32]


def test_strided_inputs(impl, device, make_flow):
    image = torch.randn(2, 9, 11, 4, device=device).permute(0, 3, 1, 2)
    flow = make_flow("smooth", 2, 11, 9, torch.float32).to(device).transpose(2, 3)
    assert not image.is_contiguous() and not flow.is_contiguous()
    for strided, packed in zip(
        forward_warp(image, flow, impl=impl),
        forward_warp(image.contiguous(), flow.contiguous(), impl=impl),
        strict=True,
    ):
        assert torch.equal(strided, packed)
    flow = flow.detach().requires_grad_()
    warped, coverage = forward_warp(image, flow, impl=impl)
    (gradient,) = torch.autograd.grad(warped.sum() + coverage.sum(), flow)  # the cotangents are expanded scalars
    ones = torch.ones(warped.shape, device=device), torch.ones(coverage.shape, device=device)
    assert_near(gradient, arbiter(image, flow, *ones)[1][1], 1e-4)


def test_one_image_against_many_flows(impl, device, make_flow):
    image = torch.randn(1, 3, 14, 13, device=device, dtype=torch.float64, requires_grad=True)
    flow = make_flow("rough", 5, 14, 13).to(device)
    outputs = forward_warp(image, flow, impl=impl)
    copied = forward_warp(image.expand(5, -1, -1, -1), flow, impl=impl)
    for shared, separate in zip(outputs, copied, strict=True):
        torch.testing.assert_close(shared, separate, rtol=0, atol=1e-12)
    weights = torch.randn_like(outputs[0])
    gradients = [torch.autograd.grad((warped * weights).sum(), image)[0] for warped in (outputs[0], copied[0])]
    torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("images", [1, 3])
@pytest.mark.parametrize("channels", [3, 9])
def test_a_gradient_that_is_not_needed_is_left_out(impl, device, make_flow, images, channels):
    """And the other one is the same to the bit."""
    image = torch.randn(images, channels, 9, 10, device=device)
    flow = make_flow("not_finite", 3, 9, 10, torch.float32).to(device)
    outputs = forward_warp(image, flow, impl=impl)
    grads = torch.randn_like(outputs[0]), torch.randn_like(outputs[1])
    backward = torch.ops.deform.forward_warp_backward.default
    both = backward(*grads, image, flow, *outputs, EPS, impl, [True, True])
    for needed in ([True, False], [False, True]):
        gradients = backward(*grads, image, flow, *outputs, EPS, impl, needed)
        for wanted, alone, right in zip(needed, gradients, both, strict=True):
            assert torch.equal(alone, right) if wanted else alone.shape == (0,)
    for tensor, right in zip((image, flow), both, strict=True):
        tensor.requires_grad_()
        (alone,) = torch.autograd.grad(forward_warp(image, flow, impl=impl), tensor, grads)
        assert torch.equal(alone, right)
        tensor.requires_grad_(False)


@pytest.mark.parametrize("kind", ["smooth", "one_cell", "outside", "not_finite"])
def test_gradcheck(impl, device, kind, make_flow):
    image = torch.randn(1, 3, 4, 5, dtype=torch.float64, device=device, requires_grad=True)
    flow = make_flow(kind, 2, 4, 5).to(device).requires_grad_()
    assert gradcheck(lambda i, f: forward_warp(i, f, eps=1e-2, impl=impl), (image, flow), eps=1e-7, atol=1e-4)


# The rows of the table of edge cases.


def one_pixel(impl, device, dx, dy, size=(3, 4), at=(1, 1), value=2.0):
    """Warp a picture in which all pixels but the one `at` leave; returns warped, coverage, and the gradients."""
    image = torch.full((1, 1, *size), 5.0, device=device)
    flow = torch.full((1, 2, *size), NAN, device=device)
    image[0, 0, at[0], at[1]] = value
    flow[0, :, at[0], at[1]] = torch.tensor([dx, dy])
    image.requires_grad_(), flow.requires_grad_()
    warped, coverage = forward_warp(image, flow, impl=impl)
    gradients = torch.autograd.grad(warped.nan_to_num().sum() + coverage.sum(), (image, flow))
    return warped.detach()[0, 0].cpu(), coverage.detach()[0, 0].cpu(), *(gradient[0].cpu() for gradient in gradients)


@pytest.mark.parametrize(
    ("dx", "dy", "cells"),
    [
        (2.5, 0.0, {(1, 3): 0.5}),
        (-1.25, 0.0, {(1, 0): 0.75}),
        (0.0, 1.75, {(2, 1): 0.25}),
        (0.0, -1.5, {(0, 1): 0.5}),
        (-1.5, -1.5, {(0, 0): 0.25}),
        (2.5, 1.5, {(2, 3): 0.25}),
    ],
)
def test_a_corner_out_of_bounds_is_dropped_alone(impl, device, dx, dy, cells):
    warped, coverage, _, _ = one_pixel(impl, device, dx, dy)
    expected = torch.zeros(3, 4)
    for cell, weight in cells.items():
        expected[cell] = weight
    torch.testing.assert_close(coverage, expected)
    torch.testing.assert_close(warped, (expected > 0) * 2.0, atol=1e-4, rtol=0)


@pytest.mark.parametrize("value", [2.0, NAN, INF])
@pytest.mark.parametrize("dx", [NAN, INF, -INF, 1e30, -1e30, 3.0, -2.0, 2.0**31, 2.0**40])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_pixel_that_lands_nowhere(impl, device, dx, value, axis):
    displacement = (dx, 0.0) if axis == 0 else (0.0, dx)
    for tensor in one_pixel(impl, device, *displacement, value=value):
        assert torch.equal(tensor, torch.zeros_like(tensor))


@pytest.mark.parametrize("value", [NAN, INF])
def test_a_strange_color_reaches_only_cells_of_weight(impl, device, value):
    image, flow = torch.ones(1, 3, 4, 5, device=device), torch.zeros(1, 2, 4, 5, device=device)
    image[0, 1, 1, 2] = value
    warped, coverage = forward_warp(image, flow, impl=impl)
    finite = warped.isfinite()
    assert not finite[0, 1, 1, 2] and finite.sum() == warped.numel() - 1
    torch.testing.assert_close(warped[finite], torch.ones_like(warped[finite]))
    torch.testing.assert_close(coverage, torch.ones_like(coverage))
    flow[:, 0] = 0.5
    warped, _ = forward_warp(image, flow, impl=impl)
    assert (~warped.isfinite()).nonzero().tolist() == [[0, 1, 1, 2], [0, 1, 1, 3]]


def test_holes_are_zero_and_pass_no_gradient(impl, device):
    """The lone pixel moves from a cell that is then empty, by a whole step: neighbours are holes."""
    warped, coverage, _, grad_flow = one_pixel(impl, device, 1.0, 0.0)
    assert coverage.nonzero().tolist() == [[1, 2]] and warped.nonzero().tolist() == [[1, 2]]
    assert grad_flow.isfinite().all() and grad_flow.abs().max() < 10  # and not 1 / eps


def test_integer_displacement_has_the_right_hand_derivative(impl, device):
    """Moving right from its own cell a pixel leaves it with slope -1; its left neighbour is not involved."""
    image = torch.ones(1, 1, 1, 3, device=device)
    flow = torch.zeros(1, 2, 1, 3, device=device, requires_grad=True)
    _, coverage = forward_warp(image, flow, impl=impl)
    weights = torch.tensor([1.0, 10.0, 100.0], device=device)
    (gradient,) = torch.autograd.grad((coverage * weights).sum(), flow)
    torch.testing.assert_close(gradient[0, 0, 0].cpu(), torch.tensor([9.0, 90.0, -100.0]))


def test_small_displacements_keep_their_bits(impl, device):
    """Floor and fraction are of the displacement: 1e-6 is not lost in the position 2000."""
    flow = torch.zeros(1, 2, 1, 2048, device=device)
    flow[0, 0, 0, 2000] = 1e-6
    image = torch.zeros(1, 1, 1, 2048, device=device)
    image[..., 2000] = 1.0
    warped, _ = forward_warp(image, flow, impl=impl)
    assert math.isclose(float(warped[0, 0, 0, 2001]), 1e-6, rel_tol=1e-4)


def test_float64_is_not_rounded(impl, device, make_flow):
    image, flow = torch.randn(1, 3, 9, 9, dtype=torch.float64, device=device), make_flow("smooth", 1, 9, 9).to(device)
    double, single = forward_warp(image, flow, impl=impl)[1], forward_warp(image.float(), flow.float(), impl=impl)[1]
    assert 0 < (double - single).abs().max() < 1e-5


def test_double_backward_is_refused(impl, device, make_flow):
    flow = make_flow("smooth", 1, 4, 5).to(device).requires_grad_()
    warped, _ = forward_warp(torch.randn(1, 2, 4, 5, dtype=torch.float64, device=device), flow, impl=impl)
    (gradient,) = torch.autograd.grad(warped.sum(), flow, create_graph=True)
    with pytest.raises(RuntimeError, match="forward_warp: second derivatives"):
        gradient.sum().backward()


# Wrong arguments.

IMAGE, FLOW = torch.zeros(2, 3, 4, 5), torch.zeros(2, 2, 4, 5)


@pytest.mark.parametrize(
    ("image", "flow", "options", "error", "message"),
    [
        ([1.0], FLOW, {}, TypeError, "image: expected a torch.Tensor, got list"),
        (IMAGE, None, {}, TypeError, "flow: expected a torch.Tensor, got NoneType"),
        (IMAGE[0], FLOW, {}, ValueError, r"image: expected 4 dimensions .* got shape \(3, 4, 5\)"),
        (IMAGE, FLOW[0], {}, ValueError, r"flow: expected 4 dimensions .* got shape \(2, 4, 5\)"),
        (IMAGE, IMAGE, {}, ValueError, "flow: expected 2 channels"),
        (IMAGE, FLOW[:, :, :3], {}, ValueError, "flow: expected the image's size"),
        (IMAGE[:, :, :0], FLOW[:, :, :0], {}, ValueError, "flow: expected"),
        (IMAGE, FLOW[:1], {}, ValueError, "image: expected a batch of 1"),
        (IMAGE.expand(2, 3, 4, 5).repeat(2, 1, 1, 1)[:3], FLOW, {}, ValueError, "image: expected a batch of 2"),
        (IMAGE, FLOW.to("meta"), {}, ValueError, "flow: expected the image's device cpu, got meta"),
        (IMAGE.half(), FLOW.half(), {}, TypeError, "flow: expected float32 or float64, got torch.float16"),
        (IMAGE, FLOW.long(), {}, TypeError, "flow: expected float32 or float64, got torch.int64"),
        (IMAGE.double(), FLOW, {}, TypeError, "image: expected torch.float32"),
        (IMAGE.half(), FLOW.double(), {}, TypeError, "image: expected torch.float64"),
        (IMAGE.to(torch.uint8), FLOW, {}, TypeError, "image: expected torch.float32"),
        (IMAGE, FLOW, {"eps": 0.0}, ValueError, "eps: expected a number above 0, got 0.0"),
        (IMAGE, FLOW, {"eps": -1.0}, ValueError, "eps: expected"),
        (IMAGE, FLOW, {"eps": NAN}, ValueError, "eps: expected"),
        (IMAGE, FLOW, {"eps": "small"}, TypeError, "eps: expected"),
        (IMAGE, FLOW, {"impl": "fastest"}, ValueError, "impl: expected one of reference, native"),
    ],
)
def test_a_wrong_argument_is_named(image, flow, options, error, message):
    with pytest.raises(error, match=message):
        forward_warp(image, flow, **options)


def test_the_default_is_the_devices_best(monkeypatch):
    from deformcli.warp import forward, native

    best = "native" if native.available()[0] else "reference"
    assert forward.best_implementation("cpu") is IMPLEMENTATIONS[best]
    forward.best_implementation.cache_clear()
    monkeypatch.setattr(native, "available", lambda: (False, "no compiler"))
    try:
        assert forward.best_implementation("cpu") is reference
        assert torch.isfinite(forward_warp(IMAGE, FLOW)[0]).all()
        with pytest.raises(RuntimeError, match="impl: 'native' is not available: no compiler"):
            forward_warp(IMAGE, FLOW, impl="native")
    finally:
        forward.best_implementation.cache_clear()


def test_meta_tensors_give_shapes_alone():
    warped, coverage = forward_warp(IMAGE.half().to("meta"), FLOW.to("meta"))
    assert (warped.shape, warped.dtype) == ((2, 3, 4, 5), torch.float16)
    assert (coverage.shape, coverage.dtype) == ((2, 1, 4, 5), torch.float32)


# What torch builds on a registered op.

compilers_warn = pytest.mark.filterwarnings("ignore")  # of their own insides


@compilers_warn
def test_opcheck(impl, device, make_flow):
    for batch in (1, 2):
        image = torch.randn(batch, 3, 6, 7, device=device, requires_grad=True)
        flow = make_flow("smooth", 2, 6, 7, torch.float32).to(device).requires_grad_()
        opcheck(torch.ops.deform.forward_warp.default, (image, flow, EPS, impl))
        outputs = forward_warp(image.detach(), flow.detach())
        grads = torch.randn_like(outputs[0]), torch.randn_like(outputs[1])
        for needed in ([True, True], [True, False], [False, True]):
            arguments = (*grads, image.detach(), flow.detach(), *outputs, EPS, impl, needed)
            opcheck(torch.ops.deform.forward_warp_backward.default, arguments)


@compilers_warn
@pytest.mark.parametrize("dynamic", [False, True])
def test_compiles_whole(impl, device, make_flow, dynamic):
    def loss(image, flow):
        warped, coverage = forward_warp(image, flow * 1.5, impl=impl)
        return warped.square().sum() + coverage.sin().sum()

    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager", dynamic=dynamic)
    for size in (6, 8):
        image = torch.randn(1, 3, size, 7, device=device, requires_grad=True)
        flow = make_flow("smooth", 2, size, 7, torch.float32).to(device).requires_grad_()
        expected = torch.autograd.grad(loss(image, flow), (image, flow))
        torch.testing.assert_close(torch.autograd.grad(compiled(image, flow), (image, flow)), expected)


@compilers_warn
def test_exports(make_flow):
    class Warp(torch.nn.Module):
        def forward(self, image, flow):
            return forward_warp(image, flow)

    inputs = torch.randn(1, 3, 6, 7), make_flow("smooth", 2, 6, 7, torch.float32)
    program = torch.export.export(Warp(), inputs)
    assert "deform.forward_warp" in str(program.graph)
    torch.testing.assert_close(program.module()(*inputs), forward_warp(*inputs))


def test_autocast_warps_in_float32(impl, device, make_flow):
    image, flow = torch.randn(2, 3, 6, 7, device=device), make_flow("smooth", 2, 6, 7, torch.float32).to(device)
    image, flow = image.to(torch.bfloat16).requires_grad_(), flow.to(torch.bfloat16).requires_grad_()
    with torch.autocast(device, torch.bfloat16):
        warped, coverage = forward_warp(image, flow, impl=impl)
    assert warped.dtype == coverage.dtype == torch.float32
    torch.testing.assert_close(warped, forward_warp(image.float(), flow.float(), impl=impl)[0])
    gradients = torch.autograd.grad(warped.sum(), (image, flow))
    assert {gradient.dtype for gradient in gradients} == {torch.bfloat16}


class Recorder(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.seen.append(function)
        return function(*args, **(kwargs or {}))


@torch.no_grad()
def test_who_watches_sees_the_operator(make_flow):
    """Without gradients a call may skip the dispatcher; not when a mode, a transform, a tracer or a profiler is on."""
    image, flow = torch.randn(1, 3, 6, 7), make_flow("smooth", 1, 6, 7, torch.float32)
    expected = forward_warp(image, flow)
    operator = torch.ops.deform.forward_warp.default
    with Recorder() as recorder:
        forward_warp(image, flow)
    assert operator in recorder.seen
    graph = make_fx(lambda *inputs: forward_warp(*inputs))(image, flow).graph  # noqa: PLW0108 - it counts arguments
    assert operator in {node.target for node in graph.nodes}
    with torch.autograd.profiler.profile() as profile:
        forward_warp(image, flow)
    assert "deform::forward_warp" in {event.name for event in profile.function_events}
    for direct, dispatched in zip(expected, operator(image, flow, EPS, ""), strict=True):
        assert torch.equal(direct, dispatched)


def test_inference_mode(impl, device, make_flow):
    image, flow = torch.randn(1, 3, 6, 7, device=device), make_flow("smooth", 1, 6, 7, torch.float32).to(device)
    expected = forward_warp(image, flow, impl=impl)
    with torch.inference_mode():
        torch.testing.assert_close(forward_warp(image, flow, impl=impl), expected)


def test_threads_calling_at_once(impl, device, make_flow):
    flows = [make_flow("rough", 3, 40, 40, torch.float32).to(device) for _ in range(4)]
    inputs = [(torch.randn(1, 3, 40, 40, device=device), flow) for flow in flows]
    expected = [forward_warp(*pair, impl=impl)[0] for pair in inputs]
    wrong = []

    def work(i):
        for _ in range(20):
            warped = forward_warp(*inputs[i], impl=impl)[0]
            if not torch.allclose(warped, expected[i], atol=1e-4):
                wrong.append(i)

    workers = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong
