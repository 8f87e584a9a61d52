"""What a plugin may do: a handful of hooks. A plugin implements those it needs and marks them `@deformcli.hookimpl`.

The module behind the entry point must be light (no torch, no cv2): it is imported by every command, `--help` included.
Whatever is heavy is named by a string "module:object" and imported when it is chosen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    import typer

hookspec = pluggy.HookspecMarker("deformcli")


@hookspec
def register_commands(app: typer.Typer) -> None:
    """Add commands to the `deform` app: `app.command()(function)` or `app.add_typer(group)`."""


@hookspec
def register_functions() -> Mapping[str, str]:  # type: ignore[empty-body]
    """Functions for Python programs: name -> "module:function", which `deformcli.NAME` is.

    They take and give Pillow images or numpy arrays, see `deformcli.images.from_image` and `to_image`.
    """


@hookspec
def register_recipes() -> Mapping[str, str]:  # type: ignore[empty-body]
    """Recipes for `deform train` and `deform evaluate`: name -> "module:Class", a `deformcli.recipes.Recipe`."""


@hookspec
def register_datasets() -> Mapping[str, str]:  # type: ignore[empty-body]
    """Data sets for `--data NAME:ROOT`: name -> "module:function" of (root, split, *, options) -> what is there.

    `root` is what stands after the colon, `split` "train", "validation" (which chooses the best weights) or "test", and
    nobody is in two; keyword-only parameters are the options that a user may add, as in `NAME:ROOT?option=value`, and
    come as text. What is there is a `Pictures` or a `Pairs` of `deformcli.data`.
    """


@hookspec
def register_metrics() -> Mapping[str, str]:  # type: ignore[empty-body]
    """Metrics for `deform evaluate --metrics`: name -> "module:function" of (prediction, target) -> (N,) tensor.

    Pictures are (N, 3, H, W) in [-1, 1]; an attribute `lower_is_better = True` of the function turns the arrow round.
    """


@hookspec
def register_weights() -> Path:  # type: ignore[empty-body]
    """A manifest (see `weights_manifest.toml`) with the plugin's own networks; its bundled files lie beside it."""


@hookspec
def doctor() -> Sequence[tuple[str, bool, str]]:  # type: ignore[empty-body]
    """Checks for `deform doctor`: (what was checked, whether it is well, one line of detail)."""
