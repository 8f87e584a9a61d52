"""What is measured of a toy task, worked out by hand."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from deformcli.errors import NothingToDoError
from deformcli.evaluation import Measurements, measure
from deformcli.metrics import mse

CPU = torch.device("cpu")


class ToyTruth:
    """Items are flat pictures of level 100, 101, ... of 255; rows are by the parity of the item."""

    def target(self, batch):
        return batch["image"]

    def groups(self, batch):
        return ["odd" if index % 2 else "even" for index in batch["index"].tolist()]


def items(count: int, **more: float) -> list[dict[str, torch.Tensor]]:
    return [
        {"image": torch.full((3, 2, 2), (100 + index) / 127.5 - 1), "index": torch.tensor(index)}
        | {name: torch.tensor(value + index) for name, value in more.items()}
        for index in range(count)
    ]


METHODS = {
    "off by 2/255 of an item's number": lambda batch: batch["image"] + 2 / 127.5 * batch["index"].view(-1, 1, 1, 1),
    "right": lambda batch: batch["image"],
}


def squared(image, target, batch):
    return mse(image, target)


def run(data, methods: Mapping = METHODS, batch_size: int = 16, **more: object) -> Measurements:
    return measure(ToyTruth(), DataLoader(data, batch_size), methods, {"mse": squared}, device=CPU, **more)


@pytest.mark.parametrize("batch_size", [1, 2, 16])
def test_values_by_hand(batch_size):
    """Item i is off by 2i levels: a squared error of i ** 2 times (2 / 255) ** 2 in 0..1."""
    found = run(items(5), batch_size=batch_size)
    wrong, right = METHODS
    assert found.values[wrong, "mse"] / (2 / 255) ** 2 == pytest.approx([0, 1, 4, 9, 16], rel=1e-4, abs=1e-6)
    assert found.values[right, "mse"] == pytest.approx([0] * 5, abs=1e-10)
    assert found.groups == ["even", "odd", "even", "odd", "even"]
    assert found.yaws is None


def test_pictures_count_as_the_8_bit_files_they_become():
    """A third of a grey level is rounded away, and colours beyond the range are clipped."""
    methods = {
        "near": lambda batch: batch["image"] + 0.3 / 127.5,
        "beyond": lambda batch: torch.full_like(batch["image"], 7.0),
        "white": lambda batch: torch.ones_like(batch["image"]),
    }
    values = run(items(1), methods).values
    assert values["near", "mse"] == pytest.approx(0, abs=1e-12)
    assert values["beyond", "mse"] == values["white", "mse"]


def test_people_and_yaws_of_the_data():
    found = run(items(3, person=70, yaw=-30.0))
    assert found.people.tolist() == [0, 1, 2]
    assert found.yaws.tolist() == [-30, -29, -28]


def test_without_people_the_same_picture_is_the_same_person():
    first, second = items(2)
    assert run([first, second, first]).people.tolist() in ([0, 1, 0], [1, 0, 1])


def test_what_nobody_knows_counts_nothing():
    known = torch.ones(1, 2, 2)
    known[:, 0] = 0
    item = items(1)[0] | {"target_known": known}
    wrong_there = {"x": lambda batch: batch["image"] + 0.5 * (1 - batch["target_known"])}
    assert run([item], wrong_there).values["x", "mse"] == pytest.approx(0, abs=1e-10)


def test_describers_see_every_method_and_the_truth():
    def level(image, batch, method):
        assert torch.equal(batch["target"], batch["image"])
        return {"level": image.mean((1, 2, 3))[:, None]}

    features = run(items(3), describers=[level]).features
    assert set(features) == {(name, "level") for name in (*METHODS, "target")}
    assert np.allclose(features["right", "level"], features["target", "level"], atol=1e-6)
    assert features["target", "level"].shape == (3, 1)


def test_observers_see_the_pictures_and_their_values():
    seen = []
    run(items(3), batch_size=2, observe=lambda batch, images, measured: seen.append((images, measured)))
    assert [(len(images), len(measured["right", "mse"])) for images, measured in seen] == [(2, 2), (2, 1)]


def test_nothing_to_measure():
    with pytest.raises(NothingToDoError, match="no item"):
        measure(ToyTruth(), [], METHODS, {"mse": squared}, device=CPU)


def test_labels_are_those_of_the_items_that_came():
    """Whatever their order, and whichever were left out on the way."""
    data = [item | {"item": item["index"]} for item in items(5)]
    found = run([data[4], data[0], data[3]], labels={"colour": lambda item: "rbgb "[item].strip()})
    assert found.labels["colour"].tolist() == ["", "r", "b"]
