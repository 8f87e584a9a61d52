"""The command behind `deform inpaint`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deformcli import options
from deformcli.batch import Item, plan, run
from deformcli.errors import UsageError
from deformcli.files import MAX_PIXELS, READABLE

if TYPE_CHECKING:
    from .inpainter import Inpainter

Mask = Annotated[Path, typer.Option("--mask", metavar="FILE|DIR", help="White = fill. A folder: masks by file stem.")]
Invert = Annotated[bool, typer.Option("--invert-mask", help="Black = fill.")]
Dilate = Annotated[int, typer.Option("--mask-dilate", metavar="PX", min=0, help="Grow what is filled.")]


def inpaint(
    inputs: options.Inputs,
    output: options.Output,
    mask: Mask,
    invert_mask: Invert = False,
    mask_dilate: Dilate = 0,
    recursive: options.Recursive = False,
    exists: options.Exists = None,
    on_error: options.OnError = "continue",
    dry_run: options.DryRun = False,
    report: options.ReportFile = None,
    max_pixels: options.MaxPixels = MAX_PIXELS,
    quality: options.Quality = None,
    weights: options.Weights = None,
    device: options.Device = "auto",
    offline: options.Offline = False,
    as_json: options.Json = False,
    no_progress: options.NoProgress = False,
) -> None:
    """Fill what a mask hides; every pixel outside the mask stays as it is."""
    if not mask.exists():
        raise UsageError(f"no such mask: {mask}", "check the path")
    items = plan(inputs, output, recursive=recursive, exists=exists)
    work = _Work(mask, invert_mask, mask_dilate, weights or "inpaint-128", device, offline, max_pixels, quality)
    run(items, work, on_error=on_error, dry_run=dry_run, report=report, as_json=as_json, progress=not no_progress)


def mask_of(source: Path, masks: Path) -> Path:
    """The mask of a picture: the file itself, or the one with the picture's stem in a folder. Raises UsageError."""
    if masks.is_file():
        return masks
    found = [path for suffix in READABLE if (path := masks / f"{source.stem}{suffix}").is_file()]
    if len(found) != 1:
        count = "no mask" if not found else f"{len(found)} masks"
        raise UsageError(f"{count} called {source.stem} in {masks}", "name one mask like each picture")
    return found[0]


@dataclass
class _Work:
    """One file after another; networks are loaded when the first is read."""

    mask: Path
    invert: bool
    dilate: int
    weights: str
    device: str
    offline: bool
    max_pixels: int
    quality: int | None

    @cached_property
    def inpainter(self) -> Inpainter:
        from deformcli.engine.device import choose_device
        from deformcli.weights import resolve_weights

        from .inpainter import Inpainter

        path = resolve_weights(self.weights, task="inpaint", offline=self.offline)
        return Inpainter.from_weights(path, choose_device(self.device))

    def __call__(self, item: Item) -> None:
        from deformcli.images import known_tensor, read_image, read_mask, to_tensor, to_uint8, write_image

        picture = read_image(item.source, max_pixels=self.max_pixels)
        path = mask_of(item.source, self.mask)
        known = read_mask(path, picture.size, invert=self.invert, dilate=self.dilate, max_pixels=self.max_pixels)
        filled = self.inpainter(to_tensor(picture), known_tensor(known))
        write_image(picture.replaced(to_uint8(filled), where=~known), item.target, quality=self.quality)
