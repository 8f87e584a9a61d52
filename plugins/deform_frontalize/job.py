"""What `deform frontalize` does with pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from deformcli.batch import Done, Job, Output, Refused, Result, Skipped, Work
from deformcli.errors import NothingToDoError
from deformcli.faces.crop import SIZE, Square, crop, native_size, paste, square_around
from deformcli.faces.detect import detector
from deformcli.images import Picture, to_tensor, to_uint8
from deformcli.options import NetworkOptions

from .choice import choose, face_at
from .options import FaceOptions, ViewOptions

if TYPE_CHECKING:
    from torch import Tensor

    from .networks import Frontalized


@dataclass
class Frontalize(Job):
    """Turns the chosen faces of each picture to the front."""

    network: NetworkOptions
    faces: FaceOptions
    view: ViewOptions
    output: Path
    same_size = False  # faces are cut out to one size

    def load(self) -> None:
        from deformcli.runtime.device import choose_device
        from deformcli.weights.store import resolve_weights

        from .frontalizer import Frontalizer

        weights = self.network.weights or "frontalize-128"
        path = resolve_weights(weights, task="frontalize", offline=self.network.offline)
        self.frontalizer = Frontalizer.from_weights(path, choose_device(self.network.device))
        known = self.faces.aligned or self.faces.box
        self.detector = None if known else detector(self.faces.detector, str(self.frontalizer.device))

    def preview(self, work: Work) -> list[str]:
        """The faces of a picture, largest first, in words."""
        if self.detector is None:
            return []
        found = self.detector.find(work.picture.rgb8)
        return [f"face {number}: {face}" for number, face in enumerate(found, 1)] or ["no face found"]

    def __call__(self, works: Sequence[Work]) -> list[Result]:
        chosen = [self._squares(work) for work in works]
        cuts = [
            to_tensor(crop(work.picture.rgb8, square))
            for work, squares in zip(works, chosen, strict=True)
            for square in (squares if isinstance(squares, list) else ())
        ]
        made = self._made(cuts, len(works))
        return [
            self._outputs(work, squares, [next(made) for _ in squares])
            if isinstance(squares, list)
            else self._without_face(work, squares)
            for work, squares in zip(works, chosen, strict=True)
        ]

    def _squares(self, work: Work) -> list[Square | None] | NothingToDoError:
        """What shows the chosen faces, None being the whole picture; or why there is none."""
        if self.faces.aligned:
            return [None]
        if self.faces.box:
            return [square_around(face_at(self.faces.box))]
        try:
            faces = choose(self.detector.find(work.picture.rgb8), self.faces.face, paste=self.view.paste)
        except NothingToDoError as error:
            return NothingToDoError(f"{work.item.source}: {error.cause}", error.remedy)
        return [square_around(face) for face in faces]

    def _without_face(self, work: Work, error: NothingToDoError) -> Result:
        """What --on-no-face makes of the picture."""
        match self.faces.on_no_face:
            case "copy":
                return Done.with_picture(work.picture)
            case "skip":
                return Skipped(error.cause)
            case _:
                return Refused(error)

    def _made(self, cuts: Sequence[Tensor], most: int) -> Iterator[Frontalized]:
        """What the network makes of each face; `most` at once, since a group photo has more than a batch."""
        import torch

        for start in range(0, len(cuts), most):
            made = self.frontalizer(torch.cat(cuts[start : start + most]))
            for i in range(len(made.output)):
                yield type(made)(*(None if part is None else part[i : i + 1] for part in made))

    def _outputs(self, work: Work, squares: Sequence[Square | None], made: Sequence[Frontalized]) -> Done:
        """The picture with the faces in it, or one file for each, the first of them the target; and the warps."""
        if not squares:
            return Done.with_picture(work.picture)
        tags = ["", *(f"-{number}" for number in range(2, len(squares) + 1))]
        views = [self._view(work.picture, square, one) for square, one in zip(squares, made, strict=True)]
        if self.view.paste:
            rgb = work.picture.rgb.copy()
            for square, view in zip(squares, views, strict=True):
                paste(rgb, square, view)
            outputs = [Output(work.picture.replaced(rgb))]
        else:
            paths = [None, *map(work.beside, tags[1:])]
            outputs = [Output(work.picture.resized_to(view), path) for view, path in zip(views, paths, strict=True)]
        if self.view.show_warp is not None:
            base = self.view.show_warp / _below(work.item.target, self.output)
            for tag, one in zip(tags, made, strict=True):
                outputs += show_warp(one, base.with_name(base.name + tag))
        return Done(outputs)

    def _view(self, picture: Picture, square: Square | None, made: Frontalized) -> np.ndarray:
        """The frontal view (S, S, 3) uint8, of the size asked for; one to be pasted is as sharp as the picture."""
        native = self.view.size == "native" or self.view.paste
        size = native_size(picture.rgb8, square) if native else SIZE
        if size == SIZE:
            return to_uint8(made.output)
        return to_uint8(self.frontalizer.at_size(to_tensor(crop(picture.rgb8, square, size)), made))


def _below(target: Path, output: Path) -> Path:
    """Where a target lies in the output folder, without its suffix: the tree of the warps is that of the outputs."""
    in_folder = target != output and target.is_relative_to(output)
    return (target.relative_to(output) if in_folder else Path(target.name)).with_suffix("")


def show_warp(made: Frontalized, base: Path) -> list[Output]:
    """BASE-warped.png, BASE-holes.png (holes white) and BASE-flow.png (hue = direction, Fig. 3.1)."""
    from deformcli.warp import flow_to_rgb

    holes = (1 - 2 * made.known).expand(-1, 3, -1, -1)
    pictures = {"warped": made.warped, "holes": holes, "flow": flow_to_rgb(made.flow)}
    return [Output(Picture(to_uint8(one)), base.with_name(f"{base.name}-{name}.png")) for name, one in pictures.items()]
