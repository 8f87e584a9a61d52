"""How far a picture is from its mirror image."""

from torch import Tensor


def asymmetry(image: Tensor, target: Tensor) -> Tensor:
    """Mean distance (N,) of colours in 0..1 between pictures (N, 3, H, W) in [-1, 1] and their mirror images."""
    return (image - image.flip(3)).abs().mean((1, 2, 3)) / 2


asymmetry.lower_is_better = True
