"""The options that the commands of `deform evaluate` share."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from deformcli import options


def listed(text: str) -> list[str]:
    """What stands between commas, each once."""
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


_metrics = partial(typer.Option, rich_help_panel="Metrics")
_tables = partial(typer.Option, rich_help_panel="Tables")


@dataclass(frozen=True, kw_only=True)
class MetricOptions:
    """Which metrics, by which networks, where."""

    metrics: Annotated[
        str,
        _metrics(
            metavar="NAME,...",
            help="mse, psnr, ssim, hole-mse, hole-psnr, hole-sharpness, gap-auc, gap-auc-true, identity, rank1, "
            "perceptual, style, lpips, aligned-mse, landmarks, residual-yaw, fid, kid, is. "
            "Default: those without a network.",
        ),
    ] = ""
    identity: Annotated[
        str | None,
        _metrics(
            metavar="ID[=FILE]", help="Likeness and Rank-1 by mobilefacenet, inception-resnet-v1 or light-cnn-29."
        ),
    ] = None
    perceptual: Annotated[
        str | None, _metrics(metavar="ID[=FILE]", help="Distance in the features of vgg-16 or vgg-19-compact.")
    ] = None
    lpips: Annotated[
        str | None, _metrics(metavar="ID[=FILE]", help="LPIPS by lpips-vgg; its vgg-16 as --perceptual names it.")
    ] = None
    features: Annotated[
        list[str] | None,
        _metrics(
            metavar="ID[=FILE]",
            help="inception-v3-fid: FID, KID and IS. Another network: a Frechet distance named after it. May repeat.",
        ),
    ] = None
    seed: options.Seed = 0
    device: options.Device = "auto"
    offline: options.Offline = False


@dataclass(frozen=True, kw_only=True)
class TableOptions:
    """Where the results go."""

    csv: Annotated[Path | None, _tables(metavar="FILE", help="Write every number to a CSV file.")] = None
    latex: Annotated[Path | None, _tables(metavar="FILE", help="Write the tables for LaTeX (booktabs).")] = None
    html: Annotated[
        Path | None, _tables(metavar="PAGE", help="Write a page with tables, plots and the pictures to browse.")
    ] = None
    as_json: options.Json = False
    no_progress: options.NoProgress = False
