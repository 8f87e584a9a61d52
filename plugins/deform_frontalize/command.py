"""The command behind `deform frontalize`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deformcli import options
from deformcli.batch import Item, check_writable, plan, run
from deformcli.files import MAX_PIXELS

if TYPE_CHECKING:
    from .face_crop import FaceDetector
    from .frontalizer import Frontalizer
    from .networks import Frontalized

Aligned = Annotated[bool, typer.Option("--aligned", help="The pictures are face crops already: no detection.")]
ShowWarp = Annotated[
    Path | None, typer.Option("--show-warp", metavar="DIR", help="Also write the warped face, its holes and the flow.")
]


def frontalize(
    inputs: options.Inputs,
    output: options.Output,
    aligned: Aligned = False,
    show_warp: ShowWarp = None,
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
    """Turn faces to the front: 128 x 128 pixels, found with MTCNN."""
    items = plan(inputs, output, recursive=recursive, exists=exists)
    if show_warp is not None:
        check_writable(show_warp)
    warps = {item.target: show_warp / _below(item.target, Path(output)) for item in items} if show_warp else {}
    work = _Work(weights or "frontalize-128", device, offline, aligned, warps, max_pixels, quality)
    run(items, work, on_error=on_error, dry_run=dry_run, report=report, as_json=as_json, progress=not no_progress)


def _below(target: Path, output: Path) -> Path:
    """Where a target lies in the output folder, without its suffix: the tree of the warps is that of the outputs."""
    in_folder = target != output and target.is_relative_to(output)
    return (target.relative_to(output) if in_folder else Path(target.name)).with_suffix("")


@dataclass
class _Work:
    """One file after another; networks are loaded when the first is read."""

    weights: str
    device: str
    offline: bool
    aligned: bool
    warps: Mapping[Path, Path]
    """Target -> where its warp is to be shown."""
    max_pixels: int
    quality: int | None

    @cached_property
    def frontalizer(self) -> Frontalizer:
        from deformcli.engine.device import choose_device
        from deformcli.weights import resolve_weights

        from .frontalizer import Frontalizer

        path = resolve_weights(self.weights, task="frontalize", offline=self.offline)
        return Frontalizer.from_weights(path, choose_device(self.device))

    @cached_property
    def detector(self) -> FaceDetector:
        from .face_crop import FaceDetector

        return FaceDetector(str(self.frontalizer.device))

    def __call__(self, item: Item) -> None:
        from deformcli.images import read_image, to_tensor, to_uint8, write_image

        from .face_crop import crop, largest, resize_aligned

        picture = read_image(item.source, max_pixels=self.max_pixels)
        frontalizer = self.frontalizer
        if self.aligned:
            face = resize_aligned(picture.rgb)
        else:
            face = crop(picture.rgb, largest(self.detector.find(picture.rgb), str(item.source)))
        made = frontalizer(to_tensor(face))
        write_image(picture.resized_to(to_uint8(made.output)), item.target, quality=self.quality)
        if item.target in self.warps:
            write_warp(made, self.warps[item.target])


def write_warp(made: Frontalized, base: Path) -> None:
    """Write BASE-warped.png, BASE-holes.png (holes white) and BASE-flow.png (hue = direction, Fig. 3.1)."""
    from deformcli.images import to_uint8, write_image
    from deformcli.warp import flow_to_rgb

    holes = (1 - 2 * made.known).expand(-1, 3, -1, -1)
    for name, picture in (("warped", made.warped), ("holes", holes), ("flow", flow_to_rgb(made.flow))):
        write_image(to_uint8(picture), base.with_name(f"{base.name}-{name}.png"))
