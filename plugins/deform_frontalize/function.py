"""`deformcli.frontalize`: what `deform frontalize` does, for Python programs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Literal, TypeVar

import numpy as np
from PIL import Image

from deformcli.errors import UsageError
from deformcli.faces import AnyWayUp, crop, find_detector, pasted
from deformcli.images import from_image, to_image
from deformcli.options import NetworkOptions

from .choice import check, chosen
from .frontalizer import Frontalizer
from .options import FaceOptions, ViewOptions

Kind = TypeVar("Kind", Image.Image, np.ndarray)

_frontalizer = cache(Frontalizer.load)


@cache
def _detector(name: str, device: str) -> AnyWayUp:
    return AnyWayUp(find_detector(name, device))


def frontalize(
    image: Kind,
    *,
    face: Literal["largest", "all"] | int = "largest",
    box: Sequence[int] | None = None,
    aligned: bool = False,
    min_face: int = 0,
    detector: str = "mtcnn",
    size: Literal[128, "native"] = 128,
    paste: bool = False,
    weights: str | None = None,
    device: str = "auto",
    offline: bool = False,
) -> Kind | list[Kind]:
    """The frontal view of the face in the image; a list of them, the largest face first, for `face="all"`.

    Args:
        image: a Pillow image, or an array (H, W, 3), (H, W, 4) or (H, W) of uint8 or uint16; so is what is returned, at
            8 bits and opaque unless it is pasted.
        box: x, y, width and height of the face in pixels, which is then not searched for.
        paste: give the whole image, its faces turned, at its own depth and with its transparency.
        face, aligned, min_face, detector, size, weights, device, offline: as the command's options. The networks are
            loaded at the first call, and kept.

    Raises:
        UsageError: no such image, or options that make no sense.
        NothingToDoError: there is no such face.
        WeightsError: the weights are not to be had.
    """
    place = None if box is None else ",".join(map(str, box))
    faces = FaceOptions(face=str(face), box=place, aligned=aligned, min_face=min_face, detector=detector)
    check(faces, ViewOptions(paste=paste), output="")
    if size not in (128, "native"):
        raise UsageError(f"size {size!r}: no such size", 'use 128 or "native"')
    picture = from_image(image)
    network = _frontalizer(NetworkOptions(weights=weights, device=device, offline=offline))
    search = None if faces.aligned or faces.box else _detector(detector, str(network.device))
    found, _ = chosen(picture.rgb8, faces, search, paste=paste)
    made = network.each([crop(picture.rgb8, square) for square in found], batch_size=8)
    views = [
        network.view(picture.rgb8, square, one, native=paste or size == "native")
        for square, one in zip(found, made, strict=True)
    ]
    if paste:
        return to_image(picture.replaced(pasted(picture.rgb, found, views)), image)
    images = [to_image(picture.resized_to(view), image) for view in views]
    return images if face == "all" else images[0]
