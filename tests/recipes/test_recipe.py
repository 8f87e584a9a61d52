"""Configs: changed by "key=value", written and read back, and errors that name the key."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Literal

import pytest
import torch

from deform_frontalize.predictor import FrontalizePredictor
from deform_frontalize.recipe import FrontalizeRecipe
from deform_inpaint.predictor import InpaintPredictor
from deform_inpaint.recipe import InpaintRecipe
from deformcli.data.files import Files
from deformcli.data.sources import Source
from deformcli.errors import UsageError, WeightsError
from deformcli.recipes import TrainingConfig, check_size, override
from deformcli.training.step import frozen
from deformcli.weights.networks import from_dict


@dataclass(frozen=True)
class Inner:
    widths: tuple[int, ...] = (1, 2)
    kind: Literal["a", "b"] = "a"
    kinds: tuple[Literal["a", "b"], ...] = ("a",)


@dataclass(frozen=True)
class Config:
    inner: Inner = Inner()
    count: int = 1
    rate: float = 0.5
    on: bool = False
    path: str = ""


@pytest.mark.parametrize(
    ("assignment", "value"),
    [
        ("count=3", 3),
        ("rate=1e-4", 1e-4),
        ("rate=2", 2.0),
        ("on=true", True),
        ("on=False", False),
        ("path=a=b.c", "a=b.c"),
        ("path=", ""),
        ("inner.widths=7", (7,)),
        ("inner.widths=7,8,9", (7, 8, 9)),
        ("inner.kind=b", "b"),
        ("inner.kinds=b,a", ("b", "a")),
    ],
)
def test_override(assignment, value):
    before = Config()
    made = override(before, [assignment])
    for key in assignment.partition("=")[0].split("."):
        made = getattr(made, key)
    assert made == value
    assert type(made) is type(value)
    assert before == Config()


def test_later_assignments_win_and_the_rest_stays():
    made = override(Config(rate=9), ["count=3", "inner.kind=b", "count=4", "inner.widths=5"])
    assert made == Config(inner=Inner((5,), "b"), count=4, rate=9)


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("count", "expected key=value"),
        ("speed=1", "no field 'speed'"),
        ("inner.depth=1", "no field 'depth'"),
        ("count=many", "'many' is no int"),
        ("count=1.5", "'1.5' is no int"),
        ("on=1", "not true or false"),
        ("inner.widths=1,", "'' is no int"),
        ("inner.kind=c", "none of a, b"),
        ("inner.kinds=a,c", "none of a, b"),
        ("inner=1", "inner has fields: widths, kind, kinds"),
        ("count.x=1", "count has no fields"),
    ],
)
def test_wrong_assignments_name_the_key(assignment, words):
    with pytest.raises(UsageError) as caught:
        override(Config(), [assignment])
    assert words in caught.value.cause
    assert f"--set {assignment.partition('=')[0]}" in caught.value.cause


@pytest.mark.parametrize(
    "config", [preset for kind in (FrontalizeRecipe, InpaintRecipe) for preset in kind.presets.values()]
)
def test_configs_survive_json(config):
    written = json.loads(json.dumps(dataclasses.asdict(config)))
    assert from_dict(type(config), written) == config


def test_config_of_another_version_is_refused():
    written = dataclasses.asdict(Config())
    written["inner"]["depth"] = 3
    with pytest.raises(WeightsError, match="'depth'"):
        from_dict(Config, written)


def test_thesis_settings_are_the_defaults():
    """Section 4.2.3: Adam, 2e-5 and 1e-5, 100,000 steps."""
    training = TrainingConfig()
    assert (training.generator_lr, training.discriminator_lr, training.steps) == (2e-5, 1e-5, 100_000)
    assert (training.ema, training.clip, training.adversarial_from) == (0, 0, 0)


def test_frozen_discriminators_pass_gradients_to_their_input_alone():
    network = torch.nn.Linear(2, 1)
    network.bias.requires_grad_(False)
    image = torch.ones(1, 2, requires_grad=True)
    with pytest.raises(ZeroDivisionError), frozen(network):
        network(image).sum().backward()
        raise ZeroDivisionError
    assert network.weight.grad is None
    assert torch.equal(image.grad[0], network.weight[0])
    assert network.weight.requires_grad
    assert not network.bias.requires_grad


@pytest.mark.parametrize("task", ["frontalize", "inpaint"])
def test_predictor_of_exported_weights(tiny_weights, tiny_config, task):
    kind = {"frontalize": FrontalizePredictor, "inpaint": InpaintPredictor}[task]
    predictor = kind.from_weights(tiny_weights(task))
    assert predictor.config.generator == tiny_config(task, "best").generator
    other = {"frontalize": InpaintPredictor, "inpaint": FrontalizePredictor}[task]
    with pytest.raises(WeightsError, match=f"is a network for {task}"):
        other.from_weights(tiny_weights(task))


def test_single_pictures_are_no_pairs(tiny_config):
    config = tiny_config("frontalize", "best")
    with pytest.raises(UsageError, match="--data folder:x: frontalize needs pairs"):
        FrontalizeRecipe.dataset(config, [Source("folder:x", Files([]))], "train", size=64, length=4)


@pytest.mark.parametrize("size", [0, 31, 48, 100])
def test_sizes_that_the_networks_cannot_halve(size):
    with pytest.raises(UsageError, match=f"{size} pixels: these networks need a multiple of 32"):
        check_size(size, 32)
    check_size(96, 32)
