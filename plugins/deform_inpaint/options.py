"""The options of `deform inpaint`. Light: read whenever the command line is."""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

import typer

_mask = partial(typer.Option, rich_help_panel="Mask")


@dataclass(frozen=True, kw_only=True)
class MaskOptions:
    """Where masks come from, and what is done to them."""

    mask: Annotated[
        str,
        _mask(
            metavar="FILE|DIR|alpha|color:#RRGGBB|box:X,Y,W,H",
            help="White = fill, grey = blend. A folder: masks by file stem. alpha: what is transparent. color: what is "
            "painted over.",
        ),
    ]
    mask_suffix: Annotated[str, _mask(metavar="TEXT", help="Of masks in a folder, behind the picture's stem.")] = ""
    invert_mask: Annotated[bool, _mask("--invert-mask", help="Black = fill.")] = False
    mask_dilate: Annotated[int, _mask(metavar="PX", min=0, help="Grow what is filled.")] = 0
    mask_fit: Annotated[Literal["error", "resize"], _mask(help="What to do with a mask of another size.")] = "error"
