"""The options of `deform frontalize`. Light: read whenever the command line is."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

_face = partial(typer.Option, rich_help_panel="Faces")


@dataclass(frozen=True, kw_only=True)
class FaceOptions:
    """Which faces of a picture, and how they are found."""

    face: Annotated[
        str, _face(metavar="largest|all|N", help="Which faces; N counts from the largest, as --dry-run lists them.")
    ] = "largest"
    box: Annotated[
        str | None, _face(metavar="X,Y,W,H", help="The face is there, from brow to chin and ear to ear: no detection.")
    ] = None
    aligned: Annotated[bool, _face("--aligned", help="The pictures are face crops already: no detection.")] = False
    min_face: Annotated[int, _face(min=0, metavar="PX", help="Leave faces with fewer pixels from brow to chin.")] = 0
    detector: Annotated[
        str, _face(metavar="mtcnn|yunet|FILE.onnx", help="yunet finds more profiles; see `deform weights info yunet`.")
    ] = "mtcnn"
    on_no_face: Annotated[Literal["fail", "skip", "copy"], _face(help="What to do with a picture without a face.")] = (
        "fail"
    )


@dataclass(frozen=True, kw_only=True)
class ViewOptions:
    """What is made of a face."""

    size: Annotated[
        Literal["128", "native"], typer.Option(help="Of the output: 128 pixels, or the photo's own up to 1024.")
    ] = "128"
    paste: Annotated[
        bool,
        typer.Option(
            "--paste", help="Put the faces back, at the picture's resolution; those turned far or not at all stay."
        ),
    ] = False
    show_warp: Annotated[
        Path | None,
        typer.Option("--show-warp", metavar="DIR", help="Also write the warped face, its holes and the flow."),
    ] = None
