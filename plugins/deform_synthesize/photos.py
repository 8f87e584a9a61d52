"""One photo turned to all sides in 2.5D; `deformcli.data.rotated` does the turning."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from deformcli.data import Sample, make_pair, read_head
from deformcli.errors import UsageError
from deformcli.images import to_uint8

from .produce import SetConfig, Unreadable


def make_photo(config: SetConfig, identity: str, photos: Mapping[str, tuple[Path, bytes]]) -> list[Sample]:
    """A photo's samples. Raises Unreadable if it cannot be read."""
    rng = config.random(identity)
    try:
        head = read_head(*photos[identity])
    except UsageError as error:
        raise Unreadable(error.cause, error.remedy) from error
    samples = []
    for yaw, pitch, roll in config.draw_angles(rng):
        pair = make_pair(head, yaw, pitch, roll, config.size, rng)
        about = {"yaw": yaw, "pitch": pitch, "roll": roll, "light": "of the photo"}
        about |= {"source": photos[identity][0].name, "licence": "of the photo"}
        image, target = to_uint8(pair.image), to_uint8(pair.target)
        samples.append(Sample(image, target, pair.flow.numpy(), pair.seen[0].numpy(), pair.face[0].numpy(), about))
    return samples
