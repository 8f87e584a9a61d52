"""Metrics by hand and against scikit-image."""

from __future__ import annotations

from math import inf, log10

import numpy as np
import pytest
import torch
from skimage.data import astronaut
from skimage.metrics import structural_similarity
from torchmetrics.functional.image import structural_similarity_index_measure

from deformcli.metrics import LOWER_IS_BETTER, METRICS, hole_mse, hole_psnr, hole_sharpness, mse, psnr, ssim


@pytest.fixture(scope="module")
def pictures() -> tuple[torch.Tensor, torch.Tensor]:
    """Three crops of a photo (3, 3, 48, 40) in [-1, 1], and worse versions of each."""
    photo = torch.from_numpy(astronaut()).permute(2, 0, 1).float() / 127.5 - 1
    crops = torch.stack([photo[:, y : y + 48, x : x + 40] for y, x in ((0, 0), (100, 200), (300, 260))])
    noise = torch.randn(crops.shape, generator=torch.Generator().manual_seed(0))
    return crops, (crops * 0.9 + noise * torch.tensor([0.02, 0.1, 0.5]).view(3, 1, 1, 1)).clamp(-1, 1)


def test_mse_and_psnr_by_hand():
    """Off by 0.5 of [-1, 1] is 0.25 of [0, 1]; the second item is equal."""
    target = torch.zeros(2, 3, 4, 4)
    image = target.clone()
    image[0] += 0.5
    assert mse(image, target).tolist() == pytest.approx([0.0625, 0])
    assert psnr(image, target).tolist() == pytest.approx([-10 * log10(0.0625), inf])


def test_ssim_is_that_of_wang(pictures):
    """scikit-image averages over the whole map or leaves a rim out; Wang's average is over whole windows alone."""
    ours = ssim(*pictures)
    for value, a, b in zip(ours.tolist(), *pictures, strict=True):
        x, y = (((image + 1) / 2).permute(1, 2, 0).double().numpy() for image in (a, b))
        _, full = structural_similarity(
            x,
            y,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=1.0,
            channel_axis=2,
            full=True,
        )
        assert value == pytest.approx(full[5:-5, 5:-5].mean(), abs=1e-4)
        # The same rim is what it leaves out of its own mean.
        own = structural_similarity(
            x, y, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1.0, channel_axis=2
        )
        assert value == pytest.approx(own, abs=1e-4)


def test_ssim_is_that_of_torchmetrics(pictures):
    """Its mean takes in windows that stick out, over a mirrored rim; of whole windows alone it is ours."""
    unit = ((image + 1) / 2 for image in pictures)
    _, full = structural_similarity_index_measure(*unit, data_range=1.0, reduction="none", return_full_image=True)
    assert torch.allclose(ssim(*pictures), full[..., 5:-5, 5:-5].mean((1, 2, 3)), atol=1e-4)


def test_ssim_of_flat_pictures_stays_exact():
    """The variances of nearly flat, bright pictures are tiny differences of large numbers."""
    noise = torch.randn(2, 1, 3, 32, 32, generator=torch.Generator().manual_seed(0)) / 1000
    image, target = 0.98 + noise
    x, y = (((picture[0] + 1) / 2).permute(1, 2, 0).double().numpy() for picture in (image, target))
    theirs = structural_similarity(
        x, y, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1.0, channel_axis=2
    )
    assert ssim(image, target).item() == pytest.approx(theirs, abs=1e-4)


def test_holes_alone_by_hand():
    """Half of the first item's pixels are holes, where it is off by 0.5; what is known does not count."""
    target, known = torch.zeros(2, 3, 4, 4), torch.ones(2, 1, 4, 4)
    known[0, :, :2], known[1, :, 0, 0] = 0, 0
    image = target + 0.5 * (1 - known)
    image[0] += 0.7 * known[0]
    assert hole_mse(image, target, known).tolist() == pytest.approx([0.0625, 0.0625])
    assert hole_psnr(image, target, known).tolist() == pytest.approx([-10 * log10(0.0625)] * 2)
    assert hole_mse(image, target, torch.ones(2, 1, 4, 4)).isnan().all()


def test_ssim_of_equal_and_of_inverted(pictures):
    image, _ = pictures
    assert ssim(image, image).tolist() == pytest.approx([1, 1, 1])
    assert (ssim(image, -image) < 0.5).all()


@pytest.mark.parametrize("name", METRICS)
def test_better_pictures_score_better(pictures, name):
    image, worse = pictures
    slightly, badly = (METRICS[name](image + amount * (worse - image), image) for amount in (0.2, 1))
    assert ((slightly < badly) == (name in LOWER_IS_BETTER)).all()
    assert slightly.shape == (3,)


def test_one_value_per_item_whatever_the_batch(pictures):
    together = ssim(*pictures)
    alone = torch.cat([ssim(a[None], b[None]) for a, b in zip(*pictures, strict=True)])
    assert np.allclose(together, alone, atol=1e-6)


def test_sharpness_is_that_of_the_holes_alone(pictures):
    target, _ = pictures
    known = torch.ones(3, 1, 48, 40)
    known[:, :, 10:30, 8:32] = 0
    holes = 1 - known
    grey = target * known
    assert hole_sharpness(target, target, known).tolist() == pytest.approx([1, 1, 1])
    assert hole_sharpness(target * 0.5 + 0.1, target, known).tolist() == pytest.approx([0.5] * 3, rel=1e-4)
    assert hole_sharpness(grey, target, known).tolist() == pytest.approx([0, 0, 0], abs=1e-6)
    elsewhere = target + known * torch.randn(target.shape, generator=torch.Generator().manual_seed(0))
    inside = hole_sharpness(elsewhere * known + target * holes, target, known)
    assert inside.tolist() == pytest.approx([1, 1, 1], abs=1e-5)
    assert hole_sharpness(target, target, torch.ones(3, 1, 48, 40)).isnan().all()
