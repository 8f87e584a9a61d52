"""Recipes: what a task trains on and by which losses, and a network in use. torch is imported when they are used."""

from deformcli._lazy import attach

__getattr__, __all__ = attach(
    __name__,
    adversarial=("as_picture", "build_discriminators", "discriminator_terms", "generator_terms"),
    helpers=("helper_network",),
    predictor=("Predictor",),
    recipe=("Recipe", "TrainingConfig", "check_size", "open_items", "target_known"),
    settings=("flat", "override"),
)
