"""Draws what the bundled weights do worst: python tools/failures.py PORTRAITS, a folder with a facemesh.npz"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from deform_frontalize.predictor import FrontalizePredictor
from deform_frontalize.recipe import FrontalizeRecipe
from deform_inpaint.predictor import InpaintPredictor
from deform_inpaint.recipe import InpaintRecipe
from deformcli.data import Batch, InOrder
from deformcli.images import to_uint8, write_image
from deformcli.recipes import Predictor, Recipe, open_items
from deformcli.weights import resolve_weights

IMAGES = Path(__file__).parents[1] / "docs" / "images"
SHOWN = 8


Chosen = Callable[[Batch], torch.Tensor]


def results(
    recipe: type[Recipe], predictor: Predictor, data: str, chosen: Chosen
) -> Iterator[tuple[float, np.ndarray]]:
    """Squared error, and input, output and target above one another (3 S, S, 3), of each item that is chosen."""
    for batch in InOrder(open_items(recipe, predictor.config, [data], "test"), 16):
        batch = {key: value[chosen(batch)] for key, value in batch.items()}
        if len(batch["image"]) == 0:
            continue
        output, target = predictor.predict(batch), predictor.target(batch)
        errors = (output - target).square().mean((1, 2, 3))
        for error, *column in zip(errors, batch["image"] * batch.get("known", 1), output, target, strict=True):
            yield float(error), np.concatenate([to_uint8(picture) for picture in column])


def worst(recipe: type[Recipe], predictor: Predictor, data: str, chosen: Chosen) -> np.ndarray:
    """The columns of the largest errors, the worst at the left."""
    ordered = sorted(results(recipe, predictor, data, chosen), key=lambda result: -result[0])
    return np.concatenate([column for _, column in ordered[:SHOWN]], 1)


@torch.inference_mode()
def main(portraits: str) -> None:
    frontalize = FrontalizePredictor.from_weights(resolve_weights("frontalize-128", task="frontalize", offline=True))
    inpaint = InpaintPredictor.from_weights(resolve_weights("inpaint-128", task="inpaint", offline=True))
    steep = worst(FrontalizeRecipe, frontalize, f"rotated:{portraits}", lambda batch: batch["yaw"].abs() == 60)
    thick = worst(InpaintRecipe, inpaint, f"folder:{portraits}", lambda batch: batch["kind"] == 1)
    write_image(steep, IMAGES / "failures-frontalize.jpg")
    write_image(thick, IMAGES / "failures-inpaint.jpg")


if __name__ == "__main__":
    main(sys.argv[1])
