"""Which side a file falls on: fixed for all time, one side per person, about a tenth held out."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from deformcli.data.splits import SPLITS, is_held_out, split_in_tenths, split_of


@pytest.mark.parametrize("name", ["A000367.jpg", "A000369.jpg", "000003.jpg", "000021.jpg", "008.jpg", "IMG_0015.jpg"])
def test_held_out_names(name):
    assert is_held_out(name)


@pytest.mark.parametrize("name", ["A000022.jpg", "000001.jpg", "001.jpg", "IMG_0001.jpg"])
def test_training_names(name):
    assert not is_held_out(name)


def test_all_takes_of_a_person_are_on_one_side():
    for person in ("008", "018", "001", "002"):
        sides = {split_of(f"{person}_{take}.jpg") for take in ("01", "03", "08", "123")}
        assert sides == {split_of(f"{person}.jpg")}


def test_the_folder_does_not_matter():
    assert is_held_out(Path("any/where/A000367.jpg"))
    assert is_held_out("neutral_front/008_03.jpg") == is_held_out("smiling_front/008_08.jpg") is True


@pytest.mark.parametrize("pattern", ["{:06d}.jpg", "IMG_{:04d}.jpg", "{:04d}_01.png", "person {}.webp"])
def test_about_a_tenth_tests_and_one_validates_however_files_are_called(pattern):
    found = Counter(split_of(pattern.format(number)) for number in range(2000))
    assert 160 <= found["test"] <= 240 and 160 <= found["validation"] <= 240
    assert set(found) == set(SPLITS)


@pytest.mark.parametrize("tenths", [0, 1, 2, 3])
def test_the_tenth_that_validates_is_none_that_tests(tenths):
    found = Counter(split_in_tenths(str(number), tenths) for number in range(4000))
    assert found["test"] / 4000 == pytest.approx(tenths / 10, abs=0.03)
    assert found["validation"] / 4000 == pytest.approx(0.1, abs=0.03)
