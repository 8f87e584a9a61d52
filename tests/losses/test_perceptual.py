"""Content and style losses on feature maps small enough to work out by hand."""

from __future__ import annotations

import pytest
import torch

from deformcli.losses import content_loss, feature_loss, gram_matrix, style_loss


def test_gram_matrix_by_hand():
    features = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).view(1, 2, 1, 2)  # two channels over two pixels
    products = torch.tensor([[1 + 4, 3 + 8], [3 + 8, 9 + 16]]) / (2 * 1 * 2)
    assert torch.allclose(gram_matrix(features)[0], products)


def test_content_loss_by_hand():
    """Distances 5 in the first layer and 2 in the second, over 8 * 10 pixels."""
    features = [torch.tensor([3.0, 4.0]).view(1, 2, 1, 1), torch.tensor([2.0]).view(1, 1, 1, 1)]
    zeros = [torch.zeros_like(layer) for layer in features]
    assert content_loss(features, zeros, pixels=10).item() == pytest.approx((5 + 2) / 80)
    twice = [torch.cat([layer, 0 * layer]) for layer in features]
    none = [torch.cat([layer, layer]) for layer in zeros]
    assert content_loss(twice, none, pixels=10).item() == pytest.approx((5 + 2) / 80 / 2)  # mean over the batch


def test_style_loss_by_hand():
    """Layer 1 weighs 1/32, layer 2 1/16, ...; one channel of value v over two pixels has the Gram matrix v * v."""
    features = [torch.full((1, 1, 1, 2), value) for value in (1.0, 2.0, 1.0, 3.0)]
    zeros = [torch.zeros_like(layer) for layer in features]
    wanted = (1 / 32 + 16 / 16 + 1 / 8 + 81 / 4) / 5
    assert style_loss(features, zeros, pixels=5).item() == pytest.approx(wanted)


def test_feature_loss_by_hand():
    """A layer off by 1 of a mean of 4, another off by 1 of a mean of 2; what the mask hides does not count."""
    wanted = [torch.tensor([4.0, 99.0]).view(1, 1, 1, 2), torch.tensor([2.0]).view(1, 1, 1, 1)]
    features = [torch.tensor([5.0, 0.0]).view(1, 1, 1, 2), torch.tensor([3.0]).view(1, 1, 1, 1)]
    mask = torch.tensor([1.0, 0.0]).view(1, 1, 1, 2)
    assert feature_loss(features, wanted, mask).item() == pytest.approx((1 / 4 + 1 / 2) / 2)
    assert feature_loss(features, wanted, 0 * mask).item() == 0


def test_style_ignores_places_and_content_does_not():
    features = [torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(0))]
    moved = [features[0].flip(-1)]
    assert style_loss(moved, features, 1).item() == pytest.approx(0, abs=1e-9)
    assert content_loss(moved, features, 1).item() > 0.01


@pytest.mark.parametrize("loss", [content_loss, style_loss])
def test_gradient_flows_and_is_finite_at_equality(loss):
    target = [torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))]
    other = [(target[0] + 0.1).requires_grad_()]
    assert (torch.autograd.grad(loss(other, target, 16), other)[0] != 0).all()
    equal = [target[0].clone().requires_grad_()]
    assert torch.isfinite(torch.autograd.grad(loss(equal, target, 16), equal)[0]).all()
