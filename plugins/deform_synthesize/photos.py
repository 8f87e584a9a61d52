"""One photo turned to all sides in 2.5D; `deformcli.data.rotated` does the turning."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from torch import Tensor

from deformcli.data.rendered import Sample
from deformcli.data.rotated import read_head
from deformcli.data.turning import make_pair

from .produce import Plan


def make_photo(plan: Plan, identity: str, photos: Mapping[str, tuple[Path, bytes]]) -> list[Sample]:
    """A photo's samples. Raises UsageError if it cannot be read."""
    rng = plan.random(identity)
    head = read_head(*photos[identity])
    samples = []
    for yaw, pitch, roll in plan.draw_angles(rng):
        pair = make_pair(head, yaw, pitch, roll, plan.size, rng)
        about = {"yaw": yaw, "pitch": pitch, "roll": roll, "light": "of the photo"}
        about |= {"source": photos[identity][0].name, "licence": "of the photo"}
        image, target = _uint8(pair.image), _uint8(pair.target)
        samples.append(Sample(image, target, pair.flow.numpy(), pair.seen[0].numpy(), pair.face[0].numpy(), about))
    return samples


def _uint8(picture: Tensor) -> np.ndarray:
    return ((picture + 1) * 127.5).round().clamp(0, 255).byte().permute(1, 2, 0).numpy()
