"""The terms of each task's objective: its loss, of the right tensors, times the weight in the config."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from deform_frontalize.recipe import FrontalizeRecipe
from deform_inpaint.recipe import InpaintRecipe
from deformcli import losses
from deformcli.faces.align import face_view
from deformcli.models.embedders import CompactVGG19Features, VGG16Features


@pytest.fixture
def batch() -> dict[str, torch.Tensor]:
    """Two made-up items that serve either task."""
    rng = torch.Generator().manual_seed(0)
    image, target = torch.rand(2, 2, 3, 64, 64, generator=rng) * 2 - 1
    face, seen, known = (torch.rand(3, 2, 1, 64, 64, generator=rng) > 0.3).float()
    flow = torch.randn(2, 2, 64, 64, generator=rng)
    return {"image": image, "target": target, "face": face, "seen": seen, "known": known, "flow": flow}


def same(terms: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert terms.keys() == expected.keys()
    for name, value in expected.items():
        assert value.item() != 0, name
        assert terms[name].item() == pytest.approx(value.item(), rel=1e-5), name


def test_thesis_objective_of_frontalize(tiny_config, batch):
    recipe = FrontalizeRecipe(tiny_config("frontalize", "fw-gap"))
    recipe.generator.regressor.head.weight.data *= 1000  # a rough flow, which leaves holes
    terms, made = recipe.generator_losses(batch, 0)
    assert 0.3 < made.known.mean() < 0.99
    expected = {
        "rigidity": 0.01 * losses.rigidity_loss(made.flow),
        "pix1": 0.1 * losses.pixel_loss(made.warped, batch["target"], made.known),
        "pix2": 1.0 * losses.pixel_loss(made.output, batch["target"]),
        "adversarial": 0.1 * losses.fooling_loss(recipe.discriminators["patch"](made.output)),
        "gap": 0.05 * losses.gap_fooling_loss(recipe.discriminators["gap"](made.output), made.known),
    }
    same(terms, expected)


def test_best_objective_of_frontalize(tiny_config, batch):
    changes = ("flow_warmup=0", "losses.background=0.25", "losses.flow=3", "losses.visibility=5", "losses.gradient=7")
    recipe = FrontalizeRecipe(tiny_config("frontalize", "best", *changes))
    terms, made = recipe.generator_losses(batch, 0)
    care = torch.where(batch["face"] > 0, 1.0, 0.25)
    visibility = torch.nn.functional.binary_cross_entropy_with_logits(made.visibility, batch["seen"])
    expected = {
        "rigidity": 0.02 * losses.rigidity_loss(made.flow),
        "flow": 3 * losses.flow_loss(made.flow, batch["flow"], batch["seen"]),
        "visibility": 5 * visibility,
        "pix1": 0.1 * losses.pixel_loss(made.warped, batch["target"], made.known * care),
        "pix2": 1.0 * losses.pixel_loss(made.output, batch["target"], care),
        "gradient": 7 * losses.gradient_loss(made.output, batch["target"], care),
    }
    same(terms, expected)


def test_identity_is_judged_by_the_users_embedder(tiny_config, batch, shared, converted):
    weights = converted(shared / "weights" / "mobilefacenet_foamliu.pth")
    settings = (f"identity_weights={weights}", "losses.cosine_identity=0.5")
    recipe = FrontalizeRecipe(tiny_config("frontalize", "fw-gap", *settings))
    terms, made = recipe.generator_losses(batch, 0)
    views = [face_view(image[:1]) for image in (made.output, batch["target"])]
    made_embedding, wanted = map(recipe.embedder, views)
    distance = (made_embedding - wanted).norm().item()
    assert terms["identity"].item() == pytest.approx(0.1 * distance / 128, rel=1e-3)
    assert terms["cosine_identity"].item() == pytest.approx(0.5 * (1 - (made_embedding @ wanted.T).item()), rel=1e-3)
    assert terms["identity"].requires_grad


def test_perceptual_loss_of_frontalize(tiny_config, batch, tmp_path):
    save_file(CompactVGG19Features().state_dict(), tmp_path / "compact.safetensors")
    settings = (f"perceptual_weights={tmp_path}/compact.safetensors", "losses.perceptual=0.5", "flow_warmup=0")
    recipe = FrontalizeRecipe(tiny_config("frontalize", "best", *settings))
    terms, made = recipe.generator_losses(batch, 0)
    care = torch.where(batch["face"] > 0, 1.0, recipe.config.losses.background)
    features, wanted = recipe.vgg(made.output), recipe.vgg(batch["target"])
    assert terms["perceptual"].item() == pytest.approx(0.5 * losses.feature_loss(features, wanted, care).item())
    assert terms["perceptual"].requires_grad


def test_thesis_objective_of_inpaint(tiny_config, batch, tmp_path):
    save_file({k: v * 3 for k, v in VGG16Features().state_dict().items()}, tmp_path / "vgg16.safetensors")
    recipe = InpaintRecipe(tiny_config("inpaint", "fw-gap", f"perceptual_weights={tmp_path}/vgg16.safetensors"))
    recipe.discriminators.eval()  # its spectral norms would move on with every look
    terms, made = recipe.generator_losses(batch, 0)
    features, wanted = recipe.vgg(made.output), recipe.vgg(batch["image"])
    expected = {
        "l1": 10 * losses.pixel_loss(made.output, batch["image"]),
        "content": 0.02 * losses.content_loss(features, wanted, 64 * 64),
        "style": 5e4 * losses.style_loss(features, wanted, 64 * 64),
        "rigidity": 1.0 * losses.rigidity_loss(made.flows.flatten(0, 1)),
        "adversarial": 0.1 * losses.least_squares_fooling_loss(recipe.discriminators["patch"](made.output)),
        "gap": 1e-5 * losses.gap_fooling_loss(recipe.discriminators["gap"](made.output), batch["known"]),
    }
    same(terms, expected)


def test_best_objective_of_inpaint(tiny_config, batch):
    recipe = InpaintRecipe(tiny_config("inpaint", "best", "losses.l1=1", "losses.hole_l1=3", "losses.hole_psnr=5"))
    terms, made = recipe.generator_losses(batch, 0)
    holes, error = 1 - batch["known"], (made.output - batch["image"]).abs()
    expected = {
        "l1": error.mean(),
        "hole_l1": 3 * losses.pixel_loss(made.output, batch["image"], holes),
        "hole_psnr": 5 * losses.psnr_loss(made.output, batch["image"], holes),
        "rigidity": 0.2 * losses.rigidity_loss(made.flows.flatten(0, 1)),
    }
    same(terms, expected)


@pytest.mark.parametrize("task", ["frontalize", "inpaint"])
def test_discriminators_see_real_and_made_pictures(tiny_config, batch, task):
    kind = {"frontalize": FrontalizeRecipe, "inpaint": InpaintRecipe}[task]
    recipe = kind(tiny_config(task, "fw-gap"))
    recipe.discriminators.eval()
    recipe.generator.regressor.head.weight.data *= 1000
    _, made = recipe.generator_losses(batch, 0)
    terms = recipe.discriminator_losses(batch, made)
    patch, gap = recipe.discriminators["patch"], recipe.discriminators["gap"]
    tell = {"frontalize": losses.real_fake_loss, "inpaint": losses.least_squares_real_fake_loss}[task]
    real = batch["target"] if task == "frontalize" else batch["image"]
    known = made.known if task == "frontalize" else batch["known"]
    same(
        terms,
        {
            "patch_loss": tell(patch(real), patch(made.output)),
            "gap_loss": losses.gap_loss(gap(made.output), known),
        },
    )
    sum(terms.values()).backward()
    assert all(p.grad is None for p in recipe.generator.parameters())


@pytest.mark.parametrize("task", ["frontalize", "inpaint"])
@pytest.mark.parametrize("preset", ["best", "fw-gap"])
def test_unknown_pixels_of_the_true_picture_teach_nothing(tiny_config, batch, tmp_path, task, preset):
    """Whatever colours stand there, losses and judgements are the same (section 3.2)."""
    save_file({k: v * 3 for k, v in VGG16Features().state_dict().items()}, tmp_path / "vgg16.safetensors")
    changes = {
        "inpaint": [f"perceptual_weights={tmp_path}/vgg16.safetensors", "losses.content=0.02", "losses.style=5e4"],
        "frontalize": ["flow_warmup=0"],
    }[task]
    recipe = {"frontalize": FrontalizeRecipe, "inpaint": InpaintRecipe}[task](tiny_config(task, preset, *changes))
    recipe.discriminators.eval()
    recipe.generator.eval()
    recipe.generator.regressor.head.weight.data *= 1000  # a rough flow, which leaves holes
    true = {"frontalize": "target", "inpaint": "image"}[task]
    given = torch.ones(2, 1, 64, 64)
    given[..., 10:30] = 0
    batch = {**batch, "target_known": given, "known": batch["known"] * given}
    outcomes = []
    for colour in (-0.5, 0.5):
        changed = {**batch, true: torch.where(given > 0, batch[true], torch.tensor(colour))}
        terms, made = recipe.generator_losses(changed, 0)
        outcomes.append({**terms, **recipe.discriminator_losses(changed, made)})
    same(outcomes[0], outcomes[1])


def test_pairs_without_exact_flow_skip_what_needs_it(tiny_config, batch):
    recipe = FrontalizeRecipe(tiny_config("frontalize", "best", "flow_warmup=5"))
    warming, made = recipe.generator_losses({**batch, "exact": torch.tensor([0.0, 1.0])}, 0)
    assert (set(warming), made) == ({"rigidity", "flow", "visibility"}, None)
    without = {**batch, "exact": torch.zeros(2), "seen": torch.zeros_like(batch["seen"])}
    terms, made = recipe.generator_losses(without, 0)
    assert {"pix1", "pix2", "gradient", "rigidity"} == set(terms)
    assert made is not None


def test_visibility_is_learned_from_pairs_with_exact_flow_alone(tiny_config, batch):
    recipe = FrontalizeRecipe(tiny_config("frontalize", "best"))
    mixed = {
        **batch,
        "exact": torch.tensor([1.0, 0.0]),
        "seen": batch["seen"] * torch.tensor([1.0, 0.0]).view(2, 1, 1, 1),
    }
    _, visibility = recipe.generator.regress(batch["image"])
    expected = torch.nn.functional.binary_cross_entropy_with_logits(visibility[:1], batch["seen"][:1])
    terms, _ = recipe.generator_losses(mixed, 0)
    assert terms["visibility"].item() == pytest.approx(0.2 * expected.item(), rel=0.02)
