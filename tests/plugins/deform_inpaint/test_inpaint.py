"""`deform inpaint`: what it keeps, what it fills, and what it refuses."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

PINK = np.array([255, 0, 255], np.uint8)


@pytest.fixture
def hole():
    """`hole(h, w)`: a mask (h, w) uint8, white (fill) along a stroke and in a block at the right edge."""

    def make(height: int, width: int) -> np.ndarray:
        mask = np.zeros((height, width), np.uint8)
        mask[height // 3 : height // 3 + 2, 2 : width - 4] = 255
        mask[height // 2 : height // 2 + 6, width - 5 :] = 255
        return mask

    return make


@pytest.fixture
def run_inpaint(command, tiny_weights):
    """`run_inpaint("a.png", "-o", "b.png", ...)` with tiny weights."""
    return lambda *args: command("inpaint", *args, "--weights", tiny_weights("inpaint"))


def pixels(path, mode: str | None = None) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert(mode) if mode else image)


@pytest.mark.parametrize("size", [(128, 128), (37, 51), (150, 100), (260, 301), (17, 400)])
def test_size_and_known_pixels_stay(run_inpaint, save, smooth_picture, hole, tmp_path, size):
    picture, mask = smooth_picture(*size), hole(*size)
    spoilt = np.where(mask[..., None] > 0, PINK, picture)
    ended = run_inpaint(save("a.png", spoilt), "--mask", save("m.png", mask), "-o", tmp_path / "out.png")
    assert ended == (0, "", "")
    made = pixels(tmp_path / "out.png")
    assert made.shape == (*size, 3)
    assert (made[mask == 0] == picture[mask == 0]).all()
    error = np.abs(made.astype(int) - picture)[mask > 0].mean()
    assert error < 0.25 * np.abs(PINK - picture.astype(int))[mask > 0].mean()


@pytest.mark.parametrize("size", [(128, 128), (140, 90)])
def test_hidden_pixels_do_not_matter(run_inpaint, save, smooth_picture, hole, tmp_path, size):
    """Thin and wide holes: whatever lies beneath the mask, the same comes out."""
    mask = hole(*size)
    mask[40:75, 10:60] = 255  # wider than a hole that is filled at full resolution
    save("m.png", mask)
    for name, hidden in (("a", [0, 255, 0]), ("b", [90, 7, 200])):
        picture = np.where(mask[..., None] > 0, np.array(hidden, np.uint8), smooth_picture(*size))
        assert run_inpaint(save(f"{name}.png", picture), "--mask", "m.png", "-o", f"{name}-out.png").code == 0
    assert (pixels("a-out.png") == pixels("b-out.png")).all()


def test_grey_stays_grey(run_inpaint, save, smooth_picture, hole):
    picture, mask = smooth_picture(60, 80)[..., 0], hole(60, 80)
    run_inpaint(save("a.png", picture), "--mask", save("m.png", mask), "-o", "out.png")
    made = pixels("out.png")
    assert made.shape == (60, 80)
    assert (made[mask == 0] == picture[mask == 0]).all()


def test_alpha_stays(run_inpaint, save, smooth_picture, hole):
    picture, mask = smooth_picture(60, 80), hole(60, 80)
    alpha = np.tile(np.linspace(0, 255, 80).astype(np.uint8), (60, 1))
    rgba = np.dstack([picture, alpha])
    run_inpaint(save("a.png", rgba), "--mask", save("m.png", mask), "-o", "out.png")
    made = pixels("out.png")
    assert made.shape == (60, 80, 4)
    assert (made[mask == 0] == rgba[mask == 0]).all()
    assert (made[..., 3] == alpha).all()


def test_the_mask_lies_on_the_upright_picture(run_inpaint, save, smooth_picture, hole):
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side
    upright, mask = smooth_picture(90, 60), hole(90, 60)
    save("a.jpg", np.rot90(upright).copy(), exif=exif, quality=95)
    with Image.open("a.jpg") as stored:
        decoded = np.rot90(np.asarray(stored), -1)
    assert run_inpaint("a.jpg", "--mask", save("m.png", mask), "-o", "out.png").code == 0
    made = pixels("out.png")
    assert made.shape == (90, 60, 3)
    assert (made[mask == 0] == decoded[mask == 0]).all()
    with Image.open("out.png") as image:
        assert image.getexif().get(0x0112, 1) == 1


def test_mask_options(run_inpaint, save, smooth_picture):
    picture = smooth_picture(40, 40)
    mask = np.zeros((40, 40), np.uint8)
    mask[20, 20] = 255
    save("a.png", np.where(mask[..., None] > 0, PINK, picture)), save("m.png", mask), save("inverse.png", 255 - mask)
    run_inpaint("a.png", "--mask", "m.png", "-o", "plain.png")
    run_inpaint("a.png", "--mask", "inverse.png", "--invert-mask", "-o", "inverted.png")
    run_inpaint("a.png", "--mask", "m.png", "--mask-dilate", 3, "-o", "grown.png")
    assert (pixels("plain.png") == pixels("inverted.png")).all()
    changed = (pixels("grown.png") != pixels("a.png")).any(2)
    assert changed[17:24, 17:24].sum() > 20
    changed[17:24, 17:24] = False
    assert not changed.any()


def test_folders_with_masks_by_stem(run_inpaint, save, smooth_picture, hole, tmp_path):
    for seed, name in enumerate(("a.png", "b.jpg", "below/c.png")):
        save(f"in/{name}", smooth_picture(40 + seed, 50, seed))
    save("masks/a.png", hole(40, 50)), save("masks/b.png", hole(41, 50)), save("masks/c.png", hole(42, 50))
    ended = run_inpaint("in", "-r", "--mask", "masks", "-o", "out", "--json")
    assert ended.code == 0
    assert [outcome["status"] for outcome in json.loads(ended.out)] == ["done"] * 3
    made = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*"))
    assert made == ["a.png", "b.jpg", "below/c.png"]
    assert pixels("out/below/c.png").shape == (42, 50, 3)


def test_one_picture_of_several_without_its_mask(run_inpaint, save, smooth_picture, hole, tmp_path):
    for name in ("a", "b", "twice"):
        save(f"in/{name}.png", smooth_picture(40, 50))
    save("masks/a.png", hole(40, 50)), save("masks/twice.png", hole(40, 50)), save("masks/twice.bmp", hole(40, 50))
    ended = run_inpaint("in", "--mask", "masks", "-o", "out")
    assert ended.code == 3
    assert "no mask called b" in ended.err
    assert "2 masks called twice" in ended.err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.png"]


@pytest.mark.parametrize("fault", ["missing", "text", "truncated", "empty"])
@pytest.mark.parametrize("role", ["picture", "mask"])
def test_bad_files(refused, bad_picture, save, smooth_picture, hole, tiny_weights, fault, role):
    bad = bad_picture(fault)
    good = save("good.png", smooth_picture(60, 60) if role == "mask" else hole(60, 60))
    picture, mask = (bad, good) if role == "picture" else (good, bad)
    words = refused(2, "inpaint", picture, "--mask", mask, "-o", "out.png", "--weights", tiny_weights("inpaint"))
    assert "bad.png" in words


@pytest.mark.parametrize(
    ("mask", "code", "words"),
    [
        (np.full((60, 50), 255, np.uint8), 2, "the mask m.png is 50 x 60, the picture is 60 x 50"),
        (np.zeros((50, 60), np.uint8), 5, "marks nothing to fill"),
        (np.full((50, 60), 255, np.uint8), 2, "leaves nothing to fill from"),
    ],
    ids=["another size", "empty", "full"],
)
def test_bad_masks(refused, save, smooth_picture, tiny_weights, mask, code, words):
    save("a.png", smooth_picture(50, 60)), save("m.png", mask)
    assert words in refused(
        code, "inpaint", "a.png", "--mask", "m.png", "-o", "o.png", "--weights", tiny_weights("inpaint")
    )


def test_bad_weights(refused, bad_weights, save, smooth_picture, hole):
    save("a.png", smooth_picture(50, 60)), save("m.png", hole(50, 60))
    path = bad_weights("inpaint")
    assert path.name in refused(4, "inpaint", "a.png", "--mask", "m.png", "-o", "out.png", "--weights", path)


@pytest.mark.parametrize("weights", ["no-such-id", "gone.safetensors", "runs/last.pth"])
def test_weights_that_are_not_there(refused, save, smooth_picture, hole, weights):
    save("a.png", smooth_picture(50, 60)), save("m.png", hole(50, 60))
    assert weights in refused(4, "inpaint", "a.png", "--mask", "m.png", "-o", "out.png", "--weights", weights)


@pytest.mark.parametrize(
    ("output", "code", "words"),
    [
        ("out.xyz", 2, "'.xyz'"),
        ("a.png", 2, "is an input"),
        ("file/out.png", 1, "file"),
        ("/proc/nowhere/out.png", 1, "/proc"),
        ("there.png", 2, "exists already"),
    ],
)
def test_bad_outputs(refused, save, smooth_picture, hole, tmp_path, tiny_weights, output, code, words):
    save("a.png", smooth_picture(50, 60)), save("m.png", hole(50, 60)), save("there.png", smooth_picture(5, 5))
    (tmp_path / "file").write_text("")
    args = ("inpaint", "a.png", "--mask", "m.png", "-o", output, "--weights", tiny_weights("inpaint"))
    assert words in refused(code, *args)


def test_unknown_device(refused, save, smooth_picture, hole, tiny_weights):
    save("a.png", smooth_picture(50, 60)), save("m.png", hole(50, 60))
    args = ("--device", "tpu", "--weights", tiny_weights("inpaint"))
    assert "tpu" in refused(2, "inpaint", "a.png", "--mask", "m.png", "-o", "out.png", *args)


def test_as_a_real_process(deform, save, smooth_picture, hole, tmp_path, tiny_weights):
    picture, mask = smooth_picture(133, 141), hole(133, 141)
    args = (save("a.png", picture), "--mask", save("m.png", mask), "-o", tmp_path / "out/made.png", "--offline")
    ended = deform("inpaint", *args, "--weights", tiny_weights("inpaint"), DEFORM_LOAD_PLUGINS="inpaint")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    made = pixels(tmp_path / "out/made.png")
    assert (made[mask == 0] == picture[mask == 0]).all()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["made.png"]
