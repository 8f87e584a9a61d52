"""Drawn masks: which share they hide, how wide they are, and that a seed decides them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from deformcli.data.masks import WIDTHS, mask_names, object_known, open_masks, stroke_known, text_known
from deformcli.errors import UsageError

SEEDS = range(60)


def widest(known: np.ndarray) -> float:
    """Typical width of the strokes: twice the median distance of their middle lines to the known."""
    distance = cv2.distanceTransform((1 - known).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    ridge = (distance > 0) & (distance >= cv2.dilate(distance, np.ones((3, 3), np.uint8)))
    return 2 * float(np.median(distance[ridge]))


@pytest.mark.parametrize("kind", WIDTHS)
def test_a_seed_decides_the_mask(kind):
    first, again, other = (stroke_known(np.random.default_rng(seed), 128, kind) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()
    assert first.shape == (128, 128)
    assert set(np.unique(first)) == {0, 1}


@pytest.mark.parametrize(("kind", "most"), [("thin", 0.18), ("thick", 0.30)])
@pytest.mark.parametrize("size", [64, 128])
def test_share_of_holes(kind, most, size):
    holes = [1 - stroke_known(np.random.default_rng(seed), size, kind).mean() for seed in SEEDS]
    assert min(holes) >= 0.04
    assert max(holes) <= most
    assert max(holes) > 2 * min(holes)  # they vary


def test_strokes_are_as_wide_as_they_say():
    thin, thick = (
        [widest(stroke_known(np.random.default_rng(seed), 128, kind)) for seed in SEEDS] for kind in ("thin", "thick")
    )
    assert max(thin) <= 6
    assert min(thick) >= 5
    assert max(thick) <= 18
    assert np.mean(thick) > 2.5 * np.mean(thin)


def test_widths_grow_with_the_picture():
    widths = [
        np.mean([widest(stroke_known(np.random.default_rng(s), size, "thick")) for s in SEEDS]) for size in (64, 256)
    ]
    assert 3 < widths[1] / widths[0] < 5


@pytest.mark.parametrize("kind", ["strokes:thin", "strokes:thick"])
@pytest.mark.parametrize(("option", "least", "most"), [("0.2-0.3", 0.2, 0.3), ("0.4", 0.4, 0.4)])
def test_share_of_holes_is_what_was_asked_for(kind, option, least, most):
    (masks,) = open_masks([f"{kind}?holes={option}"], "train")
    holes = [1 - masks.draw(np.random.default_rng(seed), 128).mean() for seed in range(20)]
    assert min(holes) >= least
    assert np.median(holes) <= most + 0.05


@pytest.mark.parametrize("size", [64, 128, 256])
def test_objects_are_one_hole_of_10_to_40_percent_of_the_side(size):
    kinds = set()
    for seed in SEEDS:
        known = object_known(np.random.default_rng(seed), size)
        assert cv2.connectedComponents((1 - known).astype(np.uint8))[0] == 2
        _, _, width, height = cv2.boundingRect((1 - known).astype(np.uint8))
        assert 0.1 * size - 2 <= min(width, height) <= max(width, height) <= 0.4 * size + 1
        kinds.add((1 - known).sum() == width * height)
    assert kinds == {True, False}


@pytest.mark.parametrize("size", [64, 128, 256])
def test_text_is_lines_of_glyphs(size):
    shares, counts = [], []
    for seed in SEEDS:
        known = text_known(np.random.default_rng(seed), size)
        shares.append(1 - known.mean())
        counts.append(cv2.connectedComponents((1 - known).astype(np.uint8))[0] - 1)
    assert 0 < min(shares) < max(shares) < 0.5
    assert np.median(counts) >= 4


@pytest.mark.parametrize("kind", ["objects", "text"])
def test_objects_and_text_are_kinds_of_masks(kind):
    (masks,) = open_masks([kind], "test")
    assert [masks.name] == mask_names([kind]) == [kind]
    first, again, other = (masks.draw(np.random.default_rng(seed), 96) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()
    assert first.shape == (96, 96)
    assert set(np.unique(first)) == {0, 1}


def test_strokes_stand_for_both_kinds():
    for split in ("train", "test"):
        both = open_masks(["strokes"], split)
        assert [masks.name for masks in both] == mask_names(["strokes"]) == ["thin", "thick"]
        drawn = [masks.draw(np.random.default_rng(3), 64) for masks in both]
        assert all(
            (drawn[i] == stroke_known(np.random.default_rng(3), 64, kind)).all() for i, kind in enumerate(WIDTHS)
        )


def write_mask(path, holes: slice) -> None:
    """64 x 48 pixels, white in the columns of `holes`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = np.zeros((48, 64), np.uint8)
    mask[:, holes] = 255
    cv2.imwrite(str(path), mask)


def test_masks_of_a_folder_are_white_where_to_fill(tmp_path):
    write_mask(tmp_path / "holes/a.png", slice(8, 32))
    (masks,) = open_masks([f"folder:{tmp_path}/holes"], "test")
    known = masks.draw(np.random.default_rng(0), 24)
    assert (known[:, :12] == 0).all()  # the centred square begins at column 8
    assert (known[:, 12:] == 1).all()
    assert masks.name == "holes"


def test_masks_of_qd_imd_are_black_where_to_fill(tmp_path):
    """Its generator draws strokes as False into pictures of one bit; train and test are folders."""
    write_mask(tmp_path / "train/00000_train.png", slice(0, 32))
    write_mask(tmp_path / "test/00000_test.png", slice(32, 64))
    for split, holes in (("train", slice(24, 48)), ("test", slice(0, 24))):
        (masks,) = open_masks([f"qd-imd:{tmp_path}"], split)
        known = masks.draw(np.random.default_rng(0), 48)
        assert (known[:, holes] == 0).all()
        assert known.mean() == 0.5


def test_files_are_drawn_by_the_seed_and_damaged_ones_are_passed_over(tmp_path, capfd):
    for number in range(6):
        write_mask(tmp_path / f"{number}.png", slice(0, 8 * number + 12))
    (tmp_path / "3.png").write_bytes(b"damaged")
    (masks,) = open_masks([f"folder:{tmp_path}"], "train")
    known = {masks.draw(np.random.default_rng(seed), 48).mean() for seed in range(40)}
    assert len(known) == 5
    assert "3.png" in capfd.readouterr().err
    assert (masks.draw(np.random.default_rng(5), 48) == masks.draw(np.random.default_rng(5), 48)).all()


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("dots", "no such masks"),
        ("strokes:wide", "no such masks"),
        ("folder:", "no such masks"),
        ("strokes?holes=most", "no share of holes"),
        ("strokes?holes=0.5-0.1", "no share of holes"),
        ("strokes?width=0.5", "no share of holes"),
        ("folder:nowhere", "no masks there"),
        ("qd-imd:nowhere", "nowhere/train: no masks there"),
    ],
)
def test_what_are_no_masks(spec, words):
    with pytest.raises(UsageError, match=words):
        open_masks([spec], "train")
