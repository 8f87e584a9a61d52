"""The game against the patch discriminators: cross-entropy for faces (3.10, 3.11), least squares for inpainting."""

from __future__ import annotations

from torch import Tensor

EPS = 1e-6


def real_fake_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Discriminator's loss (3.10) from its probabilities (M,) of real and (N,) of generated pictures."""
    return -(real + EPS).log().mean() - (1 - fake + EPS).log().mean()


def fooling_loss(fake: Tensor) -> Tensor:
    """Generator's loss (3.11) from the discriminator's probabilities (N,) of its pictures."""
    return -(fake + EPS).log().mean()


def least_squares_real_fake_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Discriminator's LSGAN loss from its patch scores (N, 1, h, w): real to 1, fake to 0. Section 3.4.

    The thesis prints the generated picture in both terms; the second is the real one, as in the LSGAN it cites.
    """
    return ((1 - real).square().mean() + fake.square().mean()) / 2


def least_squares_fooling_loss(fake: Tensor) -> Tensor:
    """Generator's LSGAN loss from the discriminator's patch scores (N, 1, h, w) of its pictures. Section 3.4."""
    return (1 - fake).square().mean()
