"""`deform swirl`: twists pictures around their centre."""

import math
from typing import Annotated

import typer

import deformcli
from deformcli import options
from deformcli.batch import Item, plan, run


@deformcli.hookimpl
def register_commands(app: typer.Typer) -> None:
    app.command()(swirl)


def swirl(
    inputs: options.Inputs,
    output: options.Output,
    turns: Annotated[float, typer.Option(help="Turns at the centre.")] = 0.5,
    recursive: options.Recursive = False,
    exists: options.Exists = None,
) -> None:
    """Twist pictures around their centre."""
    run(plan(inputs, output, recursive=recursive, exists=exists), lambda item: swirl_file(item, turns))


def swirl_file(item: Item, turns: float) -> None:
    import torch  # late: `deform --help` imports every plugin

    from deformcli.images import read_image, to_tensor, to_uint8, write_image
    from deformcli.warp import backward_warp

    picture = read_image(item.source)
    width, height = picture.size
    x, y = torch.meshgrid(
        torch.arange(width) - (width - 1) / 2, torch.arange(height) - (height - 1) / 2, indexing="xy"
    )  # (H, W), from the centre
    near = (1 - 2 * torch.hypot(x, y) / min(width, height)).clamp_min(0)  # 1 at the centre, 0 from the edge on
    angle = 2 * math.pi * turns * near**2
    flow = torch.stack([x * (angle.cos() - 1) - y * angle.sin(), x * angle.sin() + y * (angle.cos() - 1)])[None]
    swirled, _ = backward_warp(to_tensor(picture), flow)  # (1, 3, H, W)
    write_image(picture.replaced(to_uint8(swirled)), item.target)
