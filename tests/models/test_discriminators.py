"""The judges: what they return, and that all of the picture matters to them."""

from __future__ import annotations

import torch

from deformcli.models.discriminators import FacePatchDiscriminator, GapDiscriminator, SpectralPatchDiscriminator


def noise(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_face_patch_discriminator_gives_one_probability_per_picture():
    network = FacePatchDiscriminator((2, 3, 4, 5, 6))
    judged = network(noise(3, 3, 128, 128))
    assert judged.shape == (3,)
    assert ((judged > 0) & (judged < 1)).all()


def test_spectral_patch_discriminator_gives_a_map_of_scores():
    network = SpectralPatchDiscriminator((4, 6, 8, 8))
    judged = network(noise(2, 3, 128, 96))
    assert judged.shape == (2, 1, 14, 10)
    assert ((judged > 0) & (judged < 1)).all()


def test_spectral_norm_bounds_every_convolution():
    network = SpectralPatchDiscriminator((4, 6, 8, 8))
    convolutions = [layer for layer in network.modules() if isinstance(layer, torch.nn.Conv2d)]
    for layer in convolutions:
        layer.parametrizations.weight.original.data *= 50
    for _ in range(30):  # each training pass refines the estimate of the norm
        network(noise(2, 3, 32, 32))
    norms = [torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2).item() for layer in convolutions]
    assert len(norms) == 5
    assert all(0.9 < norm < 1.1 for norm in norms)


def test_gap_discriminator_gives_a_logit_per_pixel():
    network = GapDiscriminator((2, 3, 4))
    assert network(noise(2, 3, 32, 64)).shape == (2, 1, 32, 64)
    assert sum(isinstance(layer, torch.nn.Conv2d) for layer in network.modules()) == 16


def test_gap_discriminator_can_learn_to_find_holes():
    torch.manual_seed(0)
    network, picture = GapDiscriminator((8, 8, 8)), noise(4, 3, 16, 16)
    known = torch.ones(4, 1, 16, 16)
    known[:, :, 4:10, 3:12] = 0
    filled = picture * known  # flat holes in noise: easy to tell
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(25):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(network(filled), known)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert ((network(filled) > 0) == (known > 0)).float().mean() > 0.9
