"""`deform swirl`: twists pictures around their centre."""

import math
from functools import partial
from typing import Annotated

import typer

import deformcli
from deformcli import options


@deformcli.hookimpl
def register_commands(app: typer.Typer) -> None:
    app.command()(swirl)


@options.spread
def swirl(
    files: options.BatchOptions, turns: Annotated[float, typer.Option(help="Turns at the centre.")] = 0.5
) -> None:
    """Twist pictures around their centre."""
    from deformcli.batch import FunctionJob, run

    run(files, FunctionJob(partial(swirled, turns=turns)))


def swirled(pictures, turns):
    """The pictures, all of one size, twisted."""
    import torch  # late: `deform --help` imports every plugin

    from deformcli.images import to_tensor
    from deformcli.warp import backward_warp

    width, height = pictures[0].size
    x, y = torch.meshgrid(
        torch.arange(width) - (width - 1) / 2, torch.arange(height) - (height - 1) / 2, indexing="xy"
    )  # (H, W), from the centre
    near = (1 - 2 * torch.hypot(x, y) / min(width, height)).clamp_min(0)  # 1 at the centre, 0 from the edge on
    angle = 2 * math.pi * turns * near**2
    flow = torch.stack([x * (angle.cos() - 1) - y * angle.sin(), x * angle.sin() + y * (angle.cos() - 1)])[None]
    batch = torch.cat([to_tensor(picture) for picture in pictures])  # (N, 3, H, W)
    moved, _ = backward_warp(batch, flow.expand(len(batch), -1, -1, -1))
    return [picture.painted(image) for picture, image in zip(pictures, moved, strict=True)]
