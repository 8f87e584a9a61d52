"""Identity: distances of embeddings by hand, and the view that the embedder gets of a crop."""

from __future__ import annotations

import pytest
import torch

from deformcli.faces.align import face_view
from deformcli.losses import cosine_identity_loss, identity_loss


def test_distances_by_hand():
    a, b = torch.tensor([[3.0, 4.0], [1.0, 0.0]]), torch.tensor([[0.0, 0.0], [1.0, 0.0]])
    assert identity_loss(a, b).item() == pytest.approx((5 + 0) / 2 / 2)
    c, d = torch.tensor([[2.0, 0.0], [1.0, 1.0]]), torch.tensor([[0.0, 3.0], [5.0, 5.0]])
    assert cosine_identity_loss(c, d).item() == pytest.approx((1 + 0) / 2, abs=1e-6)


@pytest.mark.parametrize("loss", [identity_loss, cosine_identity_loss])
def test_gradient_brings_embeddings_together(loss):
    embedding = torch.randn(2, 8, generator=torch.Generator().manual_seed(0)).requires_grad_()
    target = torch.randn(2, 8, generator=torch.Generator().manual_seed(1))
    before = loss(embedding, target)
    (gradient,) = torch.autograd.grad(before, embedding)
    assert loss(embedding - 0.1 * gradient, target) < before
    equal = target.clone().requires_grad_()
    assert torch.isfinite(torch.autograd.grad(loss(equal, target), equal)[0]).all()


@pytest.mark.parametrize("size", [64, 128])
def test_view_brings_eyes_and_mouth_where_the_embedder_expects_them(size):
    """A crop's eyes lie at 0.33 and its mouth 42/128 below; MobileFaceNet's template has y = 52 and 92 of 112."""
    ramp = ((torch.arange(size) + 0.5) / size).view(1, 1, size, 1).expand(1, 1, size, size)  # its own height as colour
    view = face_view(ramp)
    assert view.shape == (1, 1, 112, 112)
    assert view[0, 0, 52, 56].item() == pytest.approx(0.33, abs=0.015)
    assert view[0, 0, 92, 56].item() == pytest.approx(0.33 + 42 / 128, abs=0.015)
    across = face_view(ramp.transpose(2, 3).contiguous())[0, 0, 56]
    assert torch.allclose(across + across.flip(0), torch.ones(112), atol=1e-5)  # centred


def test_view_passes_gradients():
    image = torch.rand(1, 3, 32, 32, requires_grad=True)
    face_view(image).sum().backward()
    assert (image.grad[..., 12:20, 12:20] > 0).all()
