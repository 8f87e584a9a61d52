"""The command behind `deform inpaint`."""

from __future__ import annotations

from typing import Annotated

import typer

from deformcli import options

from .options import MaskOptions

Tile = Annotated[
    int | None,
    typer.Option(
        "--tile", metavar="PX", min=128, help="Side of the piece in work at once; by default, as the memory allows."
    ),
]


@options.spread
def inpaint(
    files: options.BatchOptions,
    masks: MaskOptions,
    network: options.NetworkOptions,
    tile: Tile = None,
) -> None:
    """Fill what a mask hides; every pixel outside the mask stays as it is."""
    from deformcli.batch import run

    from .job import Inpaint
    from .masks import check

    check(masks)
    run(files, Inpaint(network, masks, tile, files.max_pixels))
