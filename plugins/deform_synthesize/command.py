"""The commands behind `deform synthesize`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from deformcli import options
from deformcli.errors import UsageError

app = typer.Typer(help="Make training data with exact flow.", no_args_is_help=True)


Out = Annotated[Path, typer.Option("--out", help="Folder to write; a rerun takes up what is missing.")]
Views = Annotated[int, typer.Option("--views", min=1, help="Turned views of each person.")]
Yaw = Annotated[float, typer.Option("--yaw", min=1, max=90, help="Largest turn in degrees.")]
Angles = Annotated[
    Literal["continuous", "multipie"], typer.Option(help="Any angles, or the 13 of Multi-PIE's cameras.")
]
Size = Annotated[int, typer.Option("--size", min=32, max=512, help="Side of the pictures, a multiple of 4.")]
Workers = Annotated[int, typer.Option("--workers", min=1, help="Processes.")]


@app.command()
def heads(
    assets: Annotated[Path, typer.Option("--assets", help="MakeHuman's folder data, with its assets.")],
    out: Out,
    identities: Annotated[int, typer.Option("--identities", min=1, help="How many people.")] = 1000,
    views: Views = 6,
    yaw: Yaw = 90,
    angles: Angles = "continuous",
    size: Size = 128,
    backgrounds: Annotated[
        Path | None, typer.Option("--backgrounds", help="Photos whose crops stand behind half of the heads.")
    ] = None,
    workers: Workers = 1,
    seed: options.Seed = 0,
    no_progress: options.NoProgress = False,
) -> None:
    """Render heads of people who do not exist, turned and from the front."""
    from deformcli.data import picture_files

    from .heads import make_head
    from .makehuman import base_mesh
    from .produce import SetConfig, produce

    base_mesh(assets)  # or it is not MakeHuman's folder
    photos = tuple(picture_files(backgrounds)) if backgrounds else ()
    if backgrounds and not photos:
        raise UsageError(f"--backgrounds {backgrounds}: no picture there", "name a folder of photos")
    config = SetConfig(out, "heads", views, yaw, angles, size, seed)
    people = [f"head-{seed}-{number:06d}" for number in range(identities)]
    produce(config, people, partial(make_head, assets=assets, photos=photos), workers, not no_progress)


@app.command()
def photos(
    data: Annotated[Path, typer.Option("--data", help="Folder of near-frontal photos of faces.")],
    out: Out,
    mesh: Annotated[
        Path | None, typer.Option("--mesh", help="Their 468-point meshes; by default facemesh.npz.")
    ] = None,
    views: Views = 20,
    yaw: Yaw = 75,
    angles: Angles = "continuous",
    size: Size = 128,
    workers: Workers = 1,
    seed: options.Seed = 0,
    no_progress: options.NoProgress = False,
) -> None:
    """Turn near-frontal photos in 2.5D: the photo is the view from the front."""
    from deformcli.data import near_frontal

    from .produce import SetConfig, make_photo, produce

    found = {
        path.relative_to(data).as_posix().replace("/", "+"): (path, points)
        for path, points in near_frontal(data, mesh or data / "facemesh.npz")
    }
    config = SetConfig(out, "photos", views, yaw, angles, size, seed)
    produce(config, list(found), partial(make_photo, photos=found), workers, not no_progress)
