"""`deform frontalize`: a face at any yaw -> its frontal view. Light: torch is imported when the command runs."""

from collections.abc import Mapping, Sequence

import typer

import deformcli

from .command import frontalize


@deformcli.hookimpl
def register_commands(app: typer.Typer) -> None:
    app.command()(frontalize)


@deformcli.hookimpl
def register_functions() -> Mapping[str, str]:
    return {"frontalize": "deform_frontalize.function:frontalize"}


@deformcli.hookimpl
def register_recipes() -> Mapping[str, str]:
    return {"frontalize": "deform_frontalize.recipe:FrontalizeRecipe"}


@deformcli.hookimpl
def doctor() -> Sequence[tuple[str, bool, str]]:
    try:
        from deformcli.faces import Mtcnn

        Mtcnn()
    except Exception as error:  # whatever is wrong with the detector's package
        return [("face detector", False, f"{type(error).__name__}: {error}")]
    return [("face detector", True, "MTCNN of facenet-pytorch, its weights are in that package")]
