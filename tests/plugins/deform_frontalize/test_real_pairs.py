"""Training on real photos: landmarks teach the flow alone, and a face without a frontal picture harms nothing."""

from __future__ import annotations

import pytest
import torch

from deform_frontalize.recipe import FrontalizeRecipe


@pytest.fixture
def losses(tiny_config):
    """`losses(batch)` -> the terms of a step after the warm-up, with the networks of `best`, made small."""
    torch.manual_seed(0)
    recipe = FrontalizeRecipe(tiny_config("frontalize", "best", "flow_warmup=0"))
    pictures = {name: torch.rand(2, 3, 64, 64) * 2 - 1 for name in ("image", "target")}
    rest = {"flow": torch.zeros(2, 2, 64, 64), "seen": torch.zeros(2, 1, 64, 64), "exact": torch.zeros(2)}
    whole = {"face": torch.ones(2, 1, 64, 64), "target_known": torch.ones(2, 1, 64, 64), "yaw": torch.zeros(2)}

    def make(**changes) -> dict[str, torch.Tensor]:
        return recipe.generator_losses({**pictures, **rest, **whole, **changes}, 1)[0]

    return make


def test_sparse_flow_teaches_the_flow_alone(losses):
    seen = torch.zeros(2, 1, 64, 64)
    seen[0, 0, ::7, ::7] = 1
    assert {"flow", "visibility"} <= losses(seen=seen, exact=torch.ones(2)).keys()
    terms = losses(seen=seen)
    assert "flow" in terms and "visibility" not in terms
    assert terms["flow"] != losses(seen=seen, flow=torch.full((2, 2, 64, 64), 9.0))["flow"]
    assert not {"flow", "visibility"} & losses().keys()


def test_a_face_without_a_frontal_picture_has_no_pixel_loss(losses):
    unknown = torch.zeros(2, 1, 64, 64)
    terms = losses(target=torch.zeros(2, 3, 64, 64), target_known=unknown)
    assert all(torch.isfinite(term) for term in terms.values())
    assert all(terms[name].item() == 0 for name in ("pix1", "pix2", "gradient"))
    half = torch.stack([unknown[0], torch.ones(1, 64, 64)])
    assert losses(target_known=half)["pix2"].item() > 0
