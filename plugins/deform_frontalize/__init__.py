"""`deform frontalize`: a face at any yaw -> its frontal view. Light: torch is imported when the command runs."""

from collections.abc import Mapping
from pathlib import Path

import deformcli


@deformcli.hookimpl
def register_recipes() -> Mapping[str, str]:
    return {"frontalize": "deform_frontalize.recipe:FrontalizeRecipe"}
