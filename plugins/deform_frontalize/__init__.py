"""`deform frontalize`: a face at any yaw -> its frontal view. Light: torch is imported when the command runs."""

from collections.abc import Mapping

import typer

import deformcli

from .command import frontalize


@deformcli.hookimpl
def register_commands(app: typer.Typer) -> None:
    app.command()(frontalize)


@deformcli.hookimpl
def register_recipes() -> Mapping[str, str]:
    return {"frontalize": "deform_frontalize.recipe:FrontalizeRecipe"}
