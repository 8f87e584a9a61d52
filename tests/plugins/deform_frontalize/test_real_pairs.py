"""Training on real photos: landmarks teach the flow alone, and a face without a frontal picture harms nothing."""

from __future__ import annotations

import pytest
import torch

from deform_frontalize.recipe import FrontalizeRecipe
from deformcli.faces.align import face_view
from deformcli.losses import fooling_loss, identity_loss, real_fake_loss


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


def test_a_face_without_a_frontal_picture_is_judged_by_the_discriminators_and_itself(tiny_config):
    """Made from it is one more made picture, but it gives no real one; its identity is that of the photo."""
    torch.manual_seed(0)
    recipe = FrontalizeRecipe(tiny_config("frontalize", "fw-gap"))
    image, target = torch.rand(2, 2, 3, 64, 64) * 2 - 1
    known = torch.stack([torch.zeros(1, 64, 64), torch.ones(1, 64, 64)])
    batch = {"image": image, "target": target, "face": torch.ones(2, 1, 64, 64), "target_known": known}
    recipe.embedder = lambda faces: faces.flatten(1)[:, :128]
    recipe.discriminators.eval()
    terms, made = recipe.generator_losses(batch, 0)
    patch = recipe.discriminators["patch"]
    embeddings = [recipe.embedder(face_view(image[:1])) for image in (made.output, image)]
    assert terms["identity"].item() == pytest.approx(0.1 * identity_loss(*embeddings).item(), rel=1e-4)
    assert terms["adversarial"].item() == pytest.approx(0.1 * fooling_loss(patch(made.output)).item(), rel=1e-4)
    told = recipe.discriminator_losses(batch, made)["patch_loss"].item()
    assert told == pytest.approx(real_fake_loss(patch(target[1:]), patch(made.output)).item(), rel=1e-4)
    nobody = {**batch, "target_known": torch.zeros(2, 1, 64, 64)}
    assert "patch_loss" not in recipe.discriminator_losses(nobody, made)
