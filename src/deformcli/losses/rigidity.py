"""The rigidity loss: springs between neighbouring pixels resist being stretched by the warp."""

from __future__ import annotations

from torch import Tensor


def rigidity_loss(flow: Tensor, eps: float = 1e-8) -> Tensor:
    """Mean over pixels and flows of |spring length - rest length|. Thesis section 3.3, Fig. 3.4.

    `flow` (N, 2, H, W) in pixels, H and W at least 2. In coordinates normalised to 0..1 the rest lengths are
    1 / (W - 1) for horizontal and 1 / (H - 1) for vertical springs; `eps` is inside the square root.
    """
    h, w = flow.shape[2:]
    x, y = flow[:, 0] / (w - 1), flow[:, 1] / (h - 1)
    horizontal = ((x.diff(dim=2) + 1 / (w - 1)).square() + y.diff(dim=2).square() + eps).sqrt()
    vertical = (x.diff(dim=1).square() + (y.diff(dim=1) + 1 / (h - 1)).square() + eps).sqrt()
    return (horizontal - 1 / (w - 1)).abs().mean() + (vertical - 1 / (h - 1)).abs().mean()
