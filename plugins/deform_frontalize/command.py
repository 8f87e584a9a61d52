"""The command behind `deform frontalize`."""

from __future__ import annotations

from deformcli import options

from .options import FaceOptions, ViewOptions


@options.spread
def frontalize(
    files: options.BatchOptions, faces: FaceOptions, view: ViewOptions, network: options.NetworkOptions
) -> None:
    """Turn faces to the front."""
    from pathlib import Path

    from deformcli.batch import check_writable, run

    from .choice import check
    from .job import Frontalize

    check(faces, view, files.output)
    if view.show_warp is not None:
        check_writable(view.show_warp)
    run(files, Frontalize(network, faces, view, Path(files.output) if files.output else None))
