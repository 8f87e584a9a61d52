"""The means of a toy recipe, worked out by hand."""

from __future__ import annotations

import pytest
import torch

from deformcli.engine.evaluator import Row, evaluate
from deformcli.metrics import mse

CPU = torch.device("cpu")


class ToyRecipe:
    """Items are flat pictures of level 100, 101, ... of 255; rows are by the parity of the item."""

    generator = torch.nn.Dropout(0.9)

    def target(self, batch):
        return batch["image"]

    def groups(self, batch):
        return ["odd" if index % 2 else "even" for index in batch["index"].tolist()]


def items(count: int) -> list[dict[str, torch.Tensor]]:
    return [
        {"image": torch.full((3, 2, 2), (100 + index) / 127.5 - 1), "index": torch.tensor(index)}
        for index in range(count)
    ]


METHODS = {
    "off by 2/255 of an item's number": lambda batch: batch["image"] + 2 / 127.5 * batch["index"].view(-1, 1, 1, 1),
    "right": lambda batch: batch["image"],
}


@pytest.mark.parametrize("batch_size", [1, 2, 16])
def test_means_by_hand(batch_size):
    """Item i is off by 2i levels: a squared error of i ** 2 times (2 / 255) ** 2 in 0..1."""
    rows = evaluate(ToyRecipe(), items(5), METHODS, {"mse": mse}, CPU, batch_size)
    found = {(row.method, row.group): (row.items, row.means["mse"] / (2 / 255) ** 2) for row in rows}
    wrong, right = METHODS
    assert found == {
        (wrong, "even"): (3, pytest.approx((0 + 4 + 16) / 3, rel=1e-4)),
        (wrong, "odd"): (2, pytest.approx((1 + 9) / 2, rel=1e-4)),
        (wrong, "all"): (5, pytest.approx((0 + 1 + 4 + 9 + 16) / 5, rel=1e-4)),
        (right, "even"): (3, pytest.approx(0, abs=1e-6)),
        (right, "odd"): (2, pytest.approx(0, abs=1e-6)),
        (right, "all"): (5, pytest.approx(0, abs=1e-6)),
    }


def test_pictures_count_as_the_8_bit_files_they_become():
    """A third of a grey level is rounded away, and colours beyond the range are clipped."""
    methods = {
        "near": lambda batch: batch["image"] + 0.3 / 127.5,
        "beyond": lambda batch: torch.full_like(batch["image"], 7.0),
        "white": lambda batch: torch.ones_like(batch["image"]),
    }
    rows = {
        row.method: row for row in evaluate(ToyRecipe(), items(1), methods, {"mse": mse}, CPU) if row.group == "all"
    }
    assert rows["near"].means["mse"] == pytest.approx(0, abs=1e-12)
    assert rows["beyond"].means == rows["white"].means


def test_the_generator_is_put_into_evaluation():
    recipe = ToyRecipe()
    recipe.generator.train()
    seen = []
    evaluate(recipe, items(1), {"x": lambda b: seen.append(recipe.generator.training) or b["image"]}, {"mse": mse}, CPU)
    assert seen == [False]


def test_several_metrics_are_columns_of_one_row():
    metrics = {"mse": mse, "one": lambda image, target: torch.ones(len(image))}
    row = next(iter(evaluate(ToyRecipe(), items(2), {"right": METHODS["right"]}, metrics, CPU)))
    assert isinstance(row, Row)
    assert list(row.means) == ["mse", "one"]
    assert row.means["one"] == 1
