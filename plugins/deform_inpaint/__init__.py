"""`deform inpaint`: fill what a mask hides. Light: torch is imported when the command runs."""

from collections.abc import Mapping

import typer

import deformcli

from .command import inpaint


@deformcli.hookimpl
def register_commands(app: typer.Typer) -> None:
    app.command()(inpaint)


@deformcli.hookimpl
def register_functions() -> Mapping[str, str]:
    return {"inpaint": "deform_inpaint.function:inpaint"}


@deformcli.hookimpl
def register_recipes() -> Mapping[str, str]:
    return {"inpaint": "deform_inpaint.recipe:InpaintRecipe"}
