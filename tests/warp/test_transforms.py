"""Both warps under `torch.func` and in dual levels: first derivatives of either mode, vmap, and a no to the rest."""

import pytest
import torch
from torch.autograd import forward_ad, gradcheck
from torch.func import grad, hessian, jacfwd, jacrev, jvp, vjp, vmap
from torch.overrides import TorchFunctionMode

from deformcli.warp import SAMPLERS

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script`:FutureWarning")  # torch's own, in forward mode

WARPS = {name: (lambda image, flow, warp=warp, **eps: warp(image, flow, **eps)) for name, warp in SAMPLERS.items()}
WARPS["forward"] = lambda image, flow: SAMPLERS["forward"](image, flow, eps=1e-2)  # 1 / eps is what differences amplify


@pytest.fixture(params=sorted(WARPS))
def warp(request):
    return WARPS[request.param]


@pytest.fixture(params=[1, 2], ids=["one image", "many images"])
def inputs(request, make_flow):
    """(1 or 2, 3, 4, 5) and (2, 2, 4, 5), float64, some of the flow outside or not finite."""
    flow = make_flow("smooth", 2, 4, 5)
    flow[0, 0, 1, 1], flow[1, 1, 2, 3] = float("nan"), 50.0
    return torch.randn(request.param, 3, 4, 5, dtype=torch.float64), flow


def directions(inputs):
    return tuple(torch.randn_like(tensor) for tensor in inputs)


def close(actual, expected, **tolerance):
    torch.testing.assert_close(tuple(actual), tuple(expected), **tolerance)


def test_a_tangent_is_the_difference_quotient(warp, inputs):
    tangents, step = directions(inputs), 1e-6
    outputs, derivative = jvp(warp, inputs, tangents)
    close(outputs, warp(*inputs))
    there, back = (
        warp(*(tensor + sign * step * tangent for tensor, tangent in zip(inputs, tangents, strict=True)))
        for sign in (1, -1)
    )
    quotient = [(ahead - behind) / (2 * step) for ahead, behind in zip(there, back, strict=True)]
    assert any(part.abs().max() > 0.1 for part in quotient)
    close(derivative, quotient, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("only", [0, 1])
def test_dual_levels_carry_the_tangent_of_either(warp, inputs, only):
    tangents = [torch.zeros_like(tensor) for tensor in inputs]
    tangents[only] = torch.randn_like(inputs[only])
    with forward_ad.dual_level():
        duals = list(inputs)
        duals[only] = forward_ad.make_dual(inputs[only], tangents[only])
        derivative = [forward_ad.unpack_dual(part).tangent for part in warp(*duals)]
        plain = warp(*inputs)
        assert all(forward_ad.unpack_dual(part).tangent is None for part in plain)
    close(derivative, jvp(warp, inputs, tuple(tangents))[1])


def test_gradcheck_of_forward_mode(warp, inputs):
    image, flow = (tensor.nan_to_num(0.3).requires_grad_() for tensor in inputs)
    assert gradcheck(warp, (image, flow), eps=1e-7, atol=1e-4, check_forward_ad=True, check_batched_grad=True)


def test_both_modes_are_transposes(warp, inputs):
    """Where differences mean nothing, at integer displacements, too."""
    inputs = inputs[0], inputs[1].round()
    tangents, cotangents = directions(inputs), directions(warp(*inputs))
    along = jvp(warp, inputs, tangents)[1]
    against = vjp(warp, *inputs)[1](cotangents)
    torch.testing.assert_close(
        sum((a * b).sum() for a, b in zip(along, cotangents, strict=True)),
        sum((a * b).sum() for a, b in zip(against, tangents, strict=True)),
    )


def test_grad_is_autograds(warp, inputs):
    def loss(image, flow):
        warped, coverage = warp(image, flow)
        return warped.square().sum() + coverage.sin().sum()

    leaves = [tensor.clone().requires_grad_() for tensor in inputs]
    close(grad(loss, (0, 1))(*inputs), torch.autograd.grad(loss(*leaves), leaves))


def test_jacobians_of_both_modes_agree(warp, inputs):
    for argument in (0, 1):
        close(jacfwd(warp, argument)(*inputs), jacrev(warp, argument)(*inputs))


@pytest.mark.parametrize("in_dims", [(0, 0), (None, 0), (0, None), (1, 2)])
def test_vmap_is_a_loop(warp, inputs, in_dims):
    several = [
        tensor if dim is None else torch.stack([tensor + 0.1 * i for i in range(3)], dim)
        for tensor, dim in zip(inputs, in_dims, strict=True)
    ]

    def item(i):
        pairs = zip(several, in_dims, strict=True)
        return [tensor if dim is None else tensor.select(dim, i) for tensor, dim in pairs]

    def gradient(image, flow):
        return grad(lambda *both: warp(*both)[0].square().sum(), (0, 1))(image, flow)

    def tangent(image, flow):
        return jvp(warp, (image, flow), (image.sin(), flow.nan_to_num(0.0).cos()))[1]

    for function in (warp, gradient, tangent):
        one_by_one = [function(*item(i)) for i in range(3)]
        close(vmap(function, in_dims)(*several), [torch.stack(parts) for parts in zip(*one_by_one, strict=True)])


def test_half_images_and_autocast_keep_their_dtypes(warp, inputs):
    image, flow = inputs[0].bfloat16(), inputs[1].float()
    (warped, coverage), tangents = jvp(warp, (image, flow), (image, flow.nan_to_num(0.0)))
    assert [part.dtype for part in (warped, coverage, *tangents)] == [torch.bfloat16, torch.float32] * 2
    with torch.autocast("cpu", torch.bfloat16):
        _, tangents = jvp(warp, (image, flow.bfloat16()), (image, flow.bfloat16().nan_to_num(0.0)))
    assert {part.dtype for part in tangents} == {torch.float32}


def test_second_derivatives_are_refused(warp, inputs):
    """In every order of the modes, and never as zeros."""
    image, flow = inputs
    direction = torch.ones_like(flow)

    def loss(flow):
        return warp(image, flow)[0].square().sum()

    def slope(flow):
        return jvp(loss, (flow,), (direction,))[1]

    for function in (hessian(loss), jacrev(grad(loss)), grad(slope), jacfwd(slope)):
        with pytest.raises(RuntimeError, match=r"_warp: second derivatives .* are not supported"):
            function(flow)


def test_a_gradient_is_not_taken_in_a_dual_level(warp, inputs):
    """The forward pass is outside, where nothing watched."""
    flow = inputs[1].clone().requires_grad_()
    warped, _ = warp(inputs[0], flow)
    with forward_ad.dual_level():
        weights = forward_ad.make_dual(torch.ones_like(warped), torch.ones_like(warped))
        with pytest.raises(RuntimeError, match="second derivatives"):
            torch.autograd.grad(warped, flow, weights)


@pytest.mark.filterwarnings("ignore")  # the compiler's own
def test_compiled_transforms_run_eagerly(warp, inputs):
    def several(image, flow):
        tangents = jvp(warp, (image, flow), (image, flow.nan_to_num(0.0)))[1]
        return *tangents, *vmap(warp)(image[None], flow[None])

    torch._dynamo.reset()
    close(torch.compile(several, backend="aot_eager")(*inputs), several(*inputs))


def test_the_bare_operator_does_not_lose_tangents(inputs):
    for operator, options in ((torch.ops.deform.forward_warp, (1e-6, "")), (torch.ops.deform.backward_warp, ())):
        with pytest.raises(RuntimeError, match="call the functions of deformcli"):
            jvp(lambda *both: operator(*both, *options), inputs, directions(inputs))  # noqa: B023 - called at once


class Calls(TorchFunctionMode):
    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_function__(self, function, types, args=(), kwargs=None):
        self.names.append(str(function))
        return function(*args, **(kwargs or {}))


def test_a_function_mode_sees_the_operator(warp, inputs):
    with Calls() as calls:
        warp(*inputs)
    assert any("warp" in name for name in calls.names)


@pytest.mark.parametrize("device", ["cpu", "cuda", "mps", "xpu"])
@pytest.mark.filterwarnings("ignore")  # of devices that are not here
def test_autocast_of_every_device(device):
    from torch._subclasses.fake_tensor import FakeTensorMode

    for warp in SAMPLERS.values():
        with FakeTensorMode(), torch.autocast(device, torch.bfloat16):
            if not torch.is_autocast_enabled(device):
                pytest.skip(f"torch has no autocast for {device} here")
            image, flow = (torch.empty(1, channels, 4, 5, device=device, dtype=torch.bfloat16) for channels in (3, 2))
            assert [part.dtype for part in warp(image, flow)] == [torch.float32, torch.float32]
