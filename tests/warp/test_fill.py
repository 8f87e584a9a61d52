"""Hole fills: the nearest known pixel, exactly; and the smooth surface, near the known solver's."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt
from skimage.restoration import inpaint_biharmonic

from deformcli.warp import native, nearest_fill, reference, smooth_fill
from deformcli.warp.fill import nearest_known, pyramid_fill, smooth_fill_reference


def distances(index: torch.Tensor, h: int, w: int) -> torch.Tensor:
    """Squared distance (N, H, W) from every pixel to the one `index` names."""
    y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    return (index // w - y).square() + (index % w - x).square()


IMPLEMENTATIONS = {"reference": reference.nearest_known}
if native.available()[0]:
    IMPLEMENTATIONS["native"] = native.nearest_known


@pytest.mark.parametrize("find", IMPLEMENTATIONS.values(), ids=IMPLEMENTATIONS)
@settings(max_examples=80, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 20), st.integers(1, 20)),
    density=st.sampled_from([0.02, 0.2, 0.6, 1.0]),
    seed=st.integers(0, 2**31),
)
def test_nearest_is_the_nearest(find, shape, density, seed):
    n, h, w = shape
    generator = torch.Generator().manual_seed(seed)
    known = torch.rand(n, h, w, generator=generator) < density
    index = find(known)
    all_distances = distances(torch.arange(h * w)[:, None, None], h, w)  # (HW, H, W)
    for i in range(n):
        cells = known[i].flatten()
        if not cells.any():
            assert torch.equal(index[i].flatten(), torch.arange(h * w))
            continue
        assert cells[index[i]].all()
        assert torch.equal(distances(index[i], h, w), all_distances[cells].amin(0))
        expected = distance_transform_edt(~known[i].numpy()) if not cells.all() else np.zeros((h, w))
        np.testing.assert_allclose(distances(index[i], h, w).double().sqrt().numpy(), expected)


@pytest.mark.skipif("native" not in IMPLEMENTATIONS, reason=native.available()[1])
@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(0, 3), st.integers(1, 40), st.integers(1, 150)),
    density=st.sampled_from([0.0, 0.005, 0.05, 0.5]),
    seed=st.integers(0, 2**31),
    threads=st.integers(1, 5),
)
def test_both_break_ties_alike_with_any_number_of_threads(shape, density, seed, threads):
    present = torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < density
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "_threads", lambda pixels: threads)
        found = native.nearest_known(present)
    assert torch.equal(found, reference.nearest_known(present))


def test_nearest_known_is_an_operator():
    torch.library.opcheck(torch.ops.deform.nearest_known.default, (torch.rand(2, 1, 5, 6).round(),))


def test_ties_go_up_then_left():
    known = torch.zeros(1, 1, 3, 3)
    known[0, 0, 0, 1] = known[0, 0, 2, 1] = known[0, 0, 1, 0] = known[0, 0, 1, 2] = 1
    assert int(nearest_known(known)[0, 1, 1]) in (1, 3)
    column = torch.tensor([1.0, 0, 1]).view(1, 1, 3, 1)
    assert nearest_known(column).flatten().tolist() == [0, 0, 2]
    assert nearest_known(column.view(1, 1, 1, 3)).flatten().tolist() == [0, 0, 2]


def test_nearest_fill_copies_colors_and_their_gradient():
    image = torch.randn(2, 3, 6, 7, requires_grad=True)
    known = torch.zeros(2, 1, 6, 7)
    known[0, 0, 2, 3] = known[1, 0, 5, 0] = 1
    filled = nearest_fill(image, known)
    colors = torch.stack([image[0, :, 2, 3], image[1, :, 5, 0]])
    assert torch.equal(filled, colors[..., None, None].expand(2, 3, 6, 7))
    (gradient,) = torch.autograd.grad(filled.sum(), image)
    assert torch.equal(gradient, known.expand(2, 3, 6, 7) * 42)


def test_nearest_fill_of_a_wide_picture_is_cut_in_strips():
    known = (torch.rand(1, 1, 40, 33) < 0.01).float()
    known[0, 0, 39, 32] = 1
    expected = distance_transform_edt(known[0, 0].numpy() == 0)
    np.testing.assert_allclose(distances(nearest_known(known), 40, 33)[0].double().sqrt().numpy(), expected)


def picture(size: int = 48) -> torch.Tensor:
    y, x = torch.meshgrid(torch.linspace(0, 3, size), torch.linspace(0, 3, size), indexing="ij")
    return torch.stack([torch.sin(x + y), torch.cos(x * 1.3 - y), 0.3 * x * y - 1])[None] * 0.5


def hole(size: int = 48) -> torch.Tensor:
    known = torch.ones(1, 1, size, size)
    known[:, :, 15:30, 12:33] = 0
    known[:, :, 35:, 40:] = 0  # at the border
    return known


def test_smooth_fill_is_the_biharmonic_surface():
    image, known = picture(), hole()
    filled = smooth_fill(image, known, iterations=2000, tolerance=1e-7)
    expected = inpaint_biharmonic(image[0].movedim(0, -1).double().numpy(), known[0, 0].numpy() == 0, channel_axis=-1)
    inner = slice(10, 33)  # at the border the two extend the picture differently
    difference = filled[0].movedim(0, -1).numpy() - expected
    assert np.abs(difference[inner, inner]).max() < 0.01
    error = (filled - image)[known.expand_as(image) == 0].square().mean()
    assert 10 * torch.log10(4 / error) > 30  # dB


def test_smooth_fill_at_its_defaults_is_near():
    image, known = picture(), hole()
    quick, exact = smooth_fill(image, known), smooth_fill(image, known, iterations=2000, tolerance=1e-7)
    assert (quick - exact).abs().max() < 0.05


@pytest.mark.skipif(not native.available()[0], reason="the C++ library is not built")
@pytest.mark.parametrize("shape", [(2, 3, 19, 14), (1, 6, 20, 1), (1, 1, 1, 17), (0, 3, 5, 5)])
def test_both_smooth_fills_agree(shape):
    """Pictures with many holes, more channels than go together, single rows; whatever the number of threads."""
    torch.manual_seed(0)
    guess, present = torch.randn(shape), torch.rand(shape[0], 1, *shape[2:]) < 0.5
    found = native.smooth_fill(guess, present[:, 0], 2000, 1e-6)
    torch.testing.assert_close(found, smooth_fill_reference(guess, present, 2000, 1e-7), rtol=0, atol=2e-3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "get_num_threads", lambda: 1)
        assert torch.equal(native.smooth_fill(guess, present[:, 0], 2000, 1e-6), found)


@pytest.mark.parametrize("fill", [smooth_fill, pyramid_fill, nearest_fill])
def test_known_pixels_are_kept_exactly(fill):
    image, known = torch.randn(2, 3, 19, 14), (torch.rand(2, 1, 19, 14) < 0.4).float()
    filled = fill(image, known)
    kept = known.expand_as(image) > 0
    assert torch.equal(filled[kept], image[kept])
    assert filled.isfinite().all()
    assert torch.equal(fill(image, torch.ones_like(known)), image)


@pytest.mark.parametrize("fill", [smooth_fill, pyramid_fill, nearest_fill])
def test_pictures_of_a_batch_do_not_meet(fill):
    image, known = torch.randn(2, 3, 12, 12), (torch.rand(2, 1, 12, 12) < 0.5).float()
    together = fill(image, known)
    for i in range(2):
        torch.testing.assert_close(together[i : i + 1], fill(image[i : i + 1], known[i : i + 1]), rtol=0, atol=0.05)


def test_smooth_fill_ignores_what_lies_in_the_holes():
    image, known = picture(), hole()
    strange = image.where(known > 0, torch.tensor(float("nan")))
    torch.testing.assert_close(smooth_fill(strange, known), smooth_fill(image, known))


def test_smooth_fill_of_nothing_known_is_finite():
    assert smooth_fill(torch.randn(1, 3, 8, 8), torch.zeros(1, 1, 8, 8)).isfinite().all()
