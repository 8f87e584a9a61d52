"""Masks of strokes, command lines of results, addresses."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("starlette", reason="needs the extra studio")

from deform_studio.security import Guard, is_local
from deform_studio.session import Session, Step, mask_of
from deformcli.images import Picture


def stroke(radius: float, *points: tuple[float, float], erase: bool = False) -> dict:
    return {"radius": radius, "erase": erase, "points": [list(point) for point in points]}


def test_a_dab_is_a_disc():
    mask = mask_of([stroke(10, (40.5, 30.5))], (90, 70))
    assert mask.shape == (70, 90) and mask.dtype == np.uint8 and set(np.unique(mask)) == {0, 255}
    y, x = np.mgrid[:70, :90]
    distance = np.hypot(x - 40, y - 30)
    assert (mask[distance < 9] == 255).all() and (mask[distance > 11] == 0).all()


def test_a_line_is_as_wide_as_the_brush():
    mask = mask_of([stroke(6, (20.5, 35.5), (70.5, 35.5))], (90, 70))
    assert 11 <= (mask[:, 45] > 0).sum() <= 14
    assert mask[35, 15:76].all() and not mask[35, :13].any() and not mask[35, 78:].any()


def test_erased_and_painted_again():
    painted, erased = stroke(8, (30, 30), (60, 30)), stroke(20, (60, 30), erase=True)
    assert not mask_of([painted, erased], (90, 70))[30, 55]
    assert mask_of([painted, erased], (90, 70))[30, 30]
    assert mask_of([erased, painted], (90, 70))[30, 55]


def test_strokes_beside_the_picture():
    mask = mask_of([stroke(5, (-500, -500), (500, 500)), stroke(3, (900, 900))], (90, 70))
    assert mask[30, 30] and mask.any(0)[:70].all() and not mask[60, 10]


def test_lines_of_several_steps():
    pixels = np.zeros((20, 30, 3), np.uint8)
    session = Session("a b.tif", "in/a b.tif", Picture(pixels))
    mask = np.zeros((20, 30), np.uint8)
    first = session.add(0, Step.between(["inpaint"], pixels, pixels + np.uint8(1), mask))
    second = session.add(first, Step.between(["frontalize", "--face", "2", "--paste"], pixels, pixels, None))
    other = session.add(0, Step(["frontalize", "--face", "1"], pixels[:8, :8], warps={"flow": Picture(pixels)}))
    assert session.lines(second, "out/b.tif", ("--metadata", "strip")) == [
        "deform inpaint 'in/a b.tif' --mask out/b-mask-1.png -o out/b-step-1.png",
        "deform frontalize out/b-step-1.png --face 2 --paste --metadata strip -o out/b.tif",
    ]
    assert session.lines(other, "c.png") == [
        "deform frontalize 'in/a b.tif' --face 1 --show-warp warps -o c.png",
    ]
    assert session.lines(0, "c.png") == []


def test_steps_keep_what_they_change_alone():
    rng = np.random.default_rng(0)
    before = rng.integers(0, 65536, (50, 60, 3), np.uint16)
    after = before.copy()
    after[10:15, 20:40] ^= 1
    step = Step.between(["inpaint"], before, after, None)
    assert step.pixels.shape == (5, 20, 3)
    assert (step.applied(Picture(before)).rgb == after).all()
    assert (Step.between(["inpaint"], before, before, None).applied(Picture(before)).rgb == before).all()


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("::", False), ("name", False)],
)
def test_local_addresses(host, local):
    assert is_local(host) == local


def test_addresses():
    assert Guard("::1", None, "token").address(80) == "http://[::1]:80/token/"
    assert Guard("127.0.0.1", None, "token").address(80) == "http://127.0.0.1:80/token/"
    assert "0.0.0.0" not in Guard("0.0.0.0", "word", "token").address(80)
