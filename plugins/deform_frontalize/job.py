"""What `deform frontalize` does with pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deformcli.batch import Done, Job, Output, Refused, Result, Skipped, Work
from deformcli.errors import NothingToDoError
from deformcli.faces import AnyWayUp, crop, find_detector, pasted
from deformcli.images import Picture, to_uint8
from deformcli.options import NetworkOptions
from deformcli.weights import named_files

from .choice import Chosen, chosen
from .options import FaceOptions, ViewOptions

if TYPE_CHECKING:
    from .networks import Frontalized


@dataclass
class Frontalize(Job):
    """Turns the chosen faces of each picture to the front."""

    network: NetworkOptions
    faces: FaceOptions
    view: ViewOptions
    output: Path | None
    suffix = "-frontal"
    same_size = False  # faces are cut out to one size

    def load(self) -> None:
        from .frontalizer import Frontalizer

        self.frontalizer = Frontalizer.load(self.network)
        known = self.faces.aligned or self.faces.box
        device = str(self.frontalizer.device)
        self.detector = None if known else AnyWayUp(find_detector(self.faces.detector, device))

    def reads(self, source: Path) -> list[Path]:
        """The weights of the networks."""
        return named_files(self.network.weights, self.faces.detector)

    def preview(self, work: Work) -> list[str]:
        """The faces of a picture, largest first, in words."""
        if self.detector is None:
            return []
        found = self.detector.find(work.picture.rgb8)
        return [f"face {number}: {face}" for number, face in enumerate(found, 1)] or ["no face found"]

    def __call__(self, works: Sequence[Work]) -> list[Result]:
        meant = [self._chosen(work) for work in works]
        crops = [
            crop(work.picture.rgb8, square)
            for work, found in zip(works, meant, strict=True)
            for square in (() if isinstance(found, NothingToDoError) else found.squares)
        ]
        made = self.frontalizer.each(crops, len(works))  # a group photo has more faces than a batch has pictures
        return [
            self._without_face(work, found)
            if isinstance(found, NothingToDoError)
            else self._outputs(work, found, [next(made) for _ in found.squares])
            for work, found in zip(works, meant, strict=True)
        ]

    def _chosen(self, work: Work) -> Chosen | NothingToDoError:
        """The faces meant, or why there is none."""
        try:
            return chosen(work.picture.rgb8, self.faces, self.detector, paste=self.view.paste)
        except NothingToDoError as error:
            return NothingToDoError(f"{work.item.source}: {error.cause}", error.remedy)

    def _without_face(self, work: Work, error: NothingToDoError) -> Result:
        """What --on-no-face makes of the picture."""
        match self.faces.on_no_face:
            case "copy":
                return Done([Output(work.picture)], numbered=self._is_numbered)
            case "skip":
                return Skipped(error.cause)
            case _:
                return Refused(error)

    @property
    def _is_numbered(self) -> bool:
        """Whether each face gets a file of its own."""
        return self.faces.face == "all" and not self.view.paste

    def _outputs(self, work: Work, found: Chosen, made: Sequence[Frontalized]) -> Done:
        """The picture with the faces in it, or one file for each, the first of them the target; and the warps."""
        squares, notes = found
        if not squares:
            return Done([Output(work.picture)], notes)
        tags = ["", *(f"-{number}" for number in range(2, len(squares) + 1))]
        native = self.view.size == "native" or self.view.paste  # what is pasted is as sharp as the picture
        views = [
            self.frontalizer.view(work.picture.rgb8, square, one, native=native)
            for square, one in zip(squares, made, strict=True)
        ]
        if self.view.paste:
            outputs = [Output(work.picture.replaced(pasted(work.picture.rgb, squares, views)))]
        else:
            paths = [None, *map(work.beside, tags[1:])]
            outputs = [Output(work.picture.resized_to(view), path) for view, path in zip(views, paths, strict=True)]
        if self.view.show_warp is not None:
            base = self.view.show_warp / _below(work.item.named, self.output)
            for tag, one in zip(tags, made, strict=True):
                outputs += show_warp(one, base.with_name(base.name + tag))
        return Done(outputs, notes, numbered=self._is_numbered)


def _below(target: Path, output: Path | None) -> Path:
    """Where a target lies in the output folder, without its suffix: the tree of the warps is that of the outputs."""
    in_folder = output is not None and target != output and target.is_relative_to(output)
    return (target.relative_to(output) if in_folder else Path(target.name)).with_suffix("")


def show_warp(made: Frontalized, base: Path) -> list[Output]:
    """BASE-warped.png, BASE-holes.png (holes white) and BASE-flow.png (hue = direction, Fig. 3.1)."""
    from deformcli.warp import flow_to_rgb

    holes = (1 - 2 * made.known).expand(-1, 3, -1, -1)
    pictures = {"warped": made.warped, "holes": holes, "flow": flow_to_rgb(made.flow)}
    return [Output(Picture(to_uint8(one)), base.with_name(f"{base.name}-{name}.png")) for name, one in pictures.items()]
