"""A recipe and a metric for deform, named here and imported when they are chosen."""

import deformcli


@deformcli.hookimpl
def register_recipes():
    return {"mirror": "deform_mirror_baseline.recipe:MirrorRecipe"}


@deformcli.hookimpl
def register_metrics():
    return {"asymmetry": "deform_mirror_baseline.metric:asymmetry"}
