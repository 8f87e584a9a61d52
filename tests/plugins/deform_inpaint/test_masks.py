"""Where `deform inpaint` gets its masks from, and what it does to them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deform_inpaint.masks import _grown as grow
from deform_inpaint.masks import blend, check, fill_weights, mask_of
from deform_inpaint.options import MaskOptions
from deformcli.errors import NothingToDoError, UsageError
from deformcli.images import Picture, read_image

PINK = (255, 0, 255)


@pytest.fixture
def weights(save):
    """`weights(pixels, "alpha", mask_dilate=2)`: the fill weights of a picture."""

    def make(picture: np.ndarray | Picture, mask: object, **more: object) -> np.ndarray:
        picture = picture if isinstance(picture, Picture) else Picture(picture)
        options = MaskOptions(mask=str(mask), **more)
        check(options)
        return fill_weights(picture, Path("in/a.png"), options)[0]

    return make


@pytest.fixture
def plain(smooth_picture) -> np.ndarray:
    return smooth_picture(40, 60) // 2


def square(value: int = 255) -> np.ndarray:
    mask = np.zeros((40, 60), np.uint8)
    mask[10:20, 30:50] = value
    return mask


def test_a_file(weights, plain, save):
    assert (weights(plain, save("m.png", square())) == square()).all()
    assert (weights(plain, save("m.png", np.dstack([square()] * 3))) == square()).all()
    assert (weights(plain, save("m.png", 255 - square()), invert_mask=True) == square()).all()


def test_transparent_parts_of_a_mask_are_black(weights, plain, save):
    seen = np.zeros((40, 60), np.uint8)
    seen[:15] = 255
    made = weights(plain, save("m.png", np.dstack([square()] * 3 + [seen])))
    assert (made == np.where(seen > 0, square(), 0)).all()


def test_grey_blends_and_the_noise_of_compression_does_not(weights, plain, save):
    assert set(np.unique(weights(plain, save("m.png", square(100))))) == {0, 100}
    noisy = np.clip(square().astype(int) + np.random.default_rng(0).integers(-7, 8, (40, 60)), 0, 255)
    assert (weights(plain, save("m.png", noisy.astype(np.uint8))) == square()).all()


def test_dilate(weights, plain, save):
    made = weights(plain, save("m.png", square()), mask_dilate=3)
    assert (made[7:23, 27:53] == 255).all()
    assert made.sum() == 255 * 16 * 26


@pytest.mark.parametrize("pixels", [1, 7, 45, 100_000])
def test_dilate_takes_no_more_than_the_picture(pixels):
    levels = np.random.default_rng(0).integers(0, 256, (30, 50), np.uint8) * (np.arange(50) % 13 == 0)
    rows, columns = np.indices(levels.shape)
    grown = grow(levels, pixels)
    for row, column in [(0, 0), (29, 49), (12, 20), (5, 44)]:
        near = (abs(rows - row) <= pixels) & (abs(columns - column) <= pixels)
        assert grown[row, column] == levels[near].max()


def test_another_size(weights, plain, save):
    path = save("m.png", np.repeat(np.repeat(square(), 2, 0), 2, 1))
    with pytest.raises(UsageError, match=r"120 x 80, the picture is 60 x 40"):
        weights(plain, path)
    assert (weights(plain, path, mask_fit="resize") == square()).all()
    smaller = weights(plain, save("small.png", square()[::2, ::2]), mask_fit="resize")
    assert np.abs(smaller.astype(int) - square()).mean() < 10
    assert ((smaller > 0) & (smaller < 255)).any()  # a soft edge


def test_alpha(weights, plain, tmp_path):
    picture = Picture(plain, alpha=255 - square())
    assert (weights(picture, "alpha") == square()).all()
    with pytest.raises(UsageError, match="no transparency"):
        weights(plain, "alpha")
    with pytest.raises(NothingToDoError, match="the transparency of"):
        weights(Picture(plain, alpha=np.full((40, 60), 255, np.uint8)), "alpha")


def test_a_colour(weights, plain):
    painted = np.where(square()[..., None] > 0, np.array(PINK, np.uint8), plain)
    assert (weights(painted, "color:#ff00ff") == square()).all()
    assert (weights(painted, "color:#F020f0") == square()).all()  # about
    with pytest.raises(NothingToDoError, match="the colour #00ff00"):
        weights(np.full((40, 60, 3), 99, np.uint8), "color:#00ff00")


@pytest.mark.parametrize("quality", [95, 75, 50])
def test_a_colour_survives_jpeg(weights, photo, save, quality):
    """What is painted is found whole; what the paint has tinged in the file is found too."""
    mask = np.zeros((512, 512), bool)
    mask[100:103, 50:400] = mask[200:300, 300:330] = mask[250:400, 60:64] = True
    painted = np.where(mask[..., None], np.array(PINK, np.uint8), photo)
    spoilt, clean = (read_image(save(f"{i}.jpg", one, quality=quality)) for i, one in enumerate((painted, photo)))
    found = weights(spoilt, "color:#ff00ff") > 0
    assert found[mask].mean() > 0.995
    tinged = np.abs(spoilt.rgb.astype(int) - clean.rgb).max(2) > 60
    assert (tinged & ~found).sum() < 0.01 * tinged.sum()
    assert found.sum() < mask.sum() * 6


def test_a_box(weights, plain):
    assert (weights(plain, "box:30,10,20,10") == square()).all()
    assert (weights(plain, "box:-5,-5,10,10")[:5, :5] == 255).all()
    with pytest.raises(NothingToDoError, match="the box 100,0,5,5"):
        weights(plain, "box:100,0,5,5")
    with pytest.raises(UsageError, match="leaves nothing to fill from"):
        weights(plain, "box:0,0,60,40")


@pytest.mark.parametrize(
    ("mask", "remedy"),
    [
        ("box:100,0,5,5", "give a box that has a part of the picture's 60 x 40 pixels in it"),
        ("box:0,0,60,40", "give a box that has a part of the picture's 60 x 40 pixels in it"),
        ("color:#00ff00", "name the colour of what to fill, which no more than a part of the picture may have"),
        ("alpha", "make transparent what to fill and only that"),
        ("black.png", "paint white what to fill and only that, or invert the mask"),
        ("white.png", "paint white what to fill and only that, or invert the mask"),
    ],
)
def test_remedies_help(weights, save, tmp_path, monkeypatch, mask, remedy):
    monkeypatch.chdir(tmp_path)
    save("black.png", np.zeros((40, 60), np.uint8)), save("white.png", np.full((40, 60), 255, np.uint8))
    picture = Picture(np.full((40, 60, 3), 99, np.uint8), alpha=np.full((40, 60), 255, np.uint8))
    with pytest.raises((NothingToDoError, UsageError)) as caught:
        weights(picture, mask)
    assert caught.value.remedy == remedy
    if mask in ("white.png", "box:0,0,60,40"):
        with pytest.raises(UsageError) as caught:
            weights(picture, mask, mask_dilate=2)
        assert caught.value.remedy == f"{remedy}, or use a smaller --mask-dilate"


@pytest.mark.parametrize("mask", ["color:red", "color:#ff00f", "box:1,2,3", "box:a,b,c,d", "box:1,1,-3,4", "gone.png"])
def test_masks_that_are_none(mask):
    with pytest.raises(UsageError):
        check(MaskOptions(mask=mask))


def test_masks_in_folders(save, tmp_path):
    for name in ("flat", "a/b", "a/twin_m", "twin_m"):
        save(f"masks/{name}.png", square())
    masks = tmp_path / "masks"
    assert mask_of(Path("in/flat.jpg"), masks) == masks / "flat.png"
    assert mask_of(Path("in/deep/flat.jpg"), masks) == masks / "flat.png"
    assert mask_of(Path("in/a/b.jpg"), masks) == masks / "a/b.png"
    assert mask_of(Path("in/a/twin.jpg"), masks, "_m") == masks / "a/twin_m.png"
    assert mask_of(Path("in/x/twin.jpg"), masks, "_m") == masks / "twin_m.png"
    with pytest.raises(UsageError, match="no mask called b in"):
        mask_of(Path("in/b.jpg"), masks)


@pytest.mark.parametrize("name", ["a.PNG", "a.Png", "a.JPEG"])
def test_masks_in_folders_whatever_the_case_of_their_suffix(save, tmp_path, name):
    save(f"masks/{name}", square()), save("masks/b.png", square())
    assert mask_of(Path("in/a.png"), tmp_path / "masks") == tmp_path / "masks" / name
    save("masks/a.tif", square())
    with pytest.raises(UsageError, match="2 masks called a"):
        mask_of(Path("in/a.png"), tmp_path / "masks")


def test_blend_keeps_what_has_no_weight():
    pixels, filled = np.full((1, 4, 3), 1001, np.uint16), np.full((1, 4, 3), 5001, np.uint16)
    filled[0, 0] = 1001
    blend(filled, pixels, np.array([[0, 51, 204, 255]], np.uint8))
    assert filled[0, :, 0].tolist() == [1001, 1801, 4201, 5001]


def test_from_the_command_line(command, save, smooth_picture, tiny_weights):
    picture = smooth_picture(40, 60)
    painted = np.where(square()[..., None] > 0, np.array(PINK, np.uint8), picture)
    save("in/a.png", painted), save("in/a_hole.png", square()), save("erased.png", np.dstack([painted, 255 - square()]))

    def filled(source: str, *args: object, noted: str = "") -> np.ndarray:
        ended = command("inpaint", source, "-o", "out.png", "--exists", "overwrite", *args, "--weights", weights)
        assert ended[:2] == (0, "") and (noted in ended[2] if noted else ended[2] == "")
        with Image.open("out.png") as image:
            return np.asarray(image)

    weights = tiny_weights("inpaint")
    by_color = filled("in/a.png", "--mask", "color:#ff00ff")
    assert (by_color[square() == 0] == picture[square() == 0]).all()
    assert np.abs(by_color.astype(int) - PINK).max(2).min() > 60
    assert (filled("in/a.png", "--mask", "box:30,10,20,10") == by_color).all()
    assert (filled("in/a.png", "--mask", "in", "--mask-suffix", "_hole") == by_color).all()
    assert (filled("erased.png", "--mask", "alpha") == by_color).all()
    soft = filled("in/a.png", "--mask", save("soft.png", square(128)), noted="is 128 of 255")[15, 40].astype(int)
    assert np.abs(soft - (by_color[15, 40].astype(int) + PINK) / 2).max() < 2


@pytest.mark.parametrize(
    ("value", "words"), [((200, 0, 0), "coloured"), ((1, 1, 1), "0 and 1"), ((60, 60, 60), "value is 60 of 255")]
)
def test_what_is_made_of_an_odd_mask_is_told(deform, save, smooth_picture, tmp_path, tiny_weights, value, words):
    picture = smooth_picture(40, 60)
    save("cwd/a.png", picture), save("cwd/b.png", picture)
    save("cwd/m.png", np.where(square()[..., None] > 0, np.array(value, np.uint8), np.uint8(0)))
    args = ("a.png", "b.png", "--mask", "m.png", "-o", "out/", "--json", "--weights", tiny_weights("inpaint"))
    ended = deform("inpaint", *args, DEFORM_LOAD_PLUGINS="inpaint")
    assert ended.returncode == 0 and "note: a.png: the mask m.png: it" in ended.stderr and words in ended.stderr
    notes = [item["notes"] for item in json.loads(ended.stdout)]
    assert len(notes) == 2 and all(words in note for (note,) in notes)


@pytest.fixture
def inputs(save, smooth_picture, tmp_path) -> dict[str, bytes]:
    """Two pictures, masks for them in a folder and of other kinds, a list, weights; all that is there, by name."""
    for name in ("a", "b"):
        save(f"in/{name}.png", smooth_picture(40, 60)), save(f"masks/{name}.png", square())
    save("m.png", square()), save("in/c.jpg", smooth_picture(40, 60)), save("masks/c.png", square())
    (tmp_path / "list").write_text("in/a.png\nin/b.png\n")
    (tmp_path / "own.safetensors").write_bytes(b"weights")
    return {str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "line",
    [
        "in -o masks/ --mask masks --exists overwrite",
        "in -o masks/ --mask masks",
        "in/c.jpg -o masks/ --mask masks",
        "in/a.png -o m.png --mask m.png --exists overwrite",
        "in/a.png -o out.png --mask m.png --report m.png",
        "in/a.png -o out.png --mask masks --report masks/a.png",
        "--files-from list -o out/ --mask masks --report list",
        "in/a.png -o out.png --mask m.png --weights own.safetensors --report own.safetensors",
        "in/a.png -o out.png --mask m.png --weights inpaint-256=own.safetensors --report own.safetensors",
    ],
)
def test_what_is_read_is_never_written_over(refused, inputs, tmp_path, line):
    assert "overwrit" in refused(2, "inpaint", *line.split())
    assert all((tmp_path / name).read_bytes() == data for name, data in inputs.items())


def test_a_dry_run_looks_at_the_masks(command, inputs, save, tmp_path, tiny_weights):
    def tried(*args: object) -> tuple[int, str]:
        ended = command("inpaint", *args, "-o", "out/", "--dry-run", "--weights", tiny_weights("inpaint"))
        assert ended.out == "" and not (tmp_path / "out").exists()
        return ended.code, ended.err

    share = "  8.3% of the pixels are to be filled\n"
    (tmp_path / "in/c.jpg").unlink()
    assert tried("in", "--mask", "masks") == (
        0,
        f"planned: in/a.png -> out/a.png\n{share}planned: in/b.png -> out/b.png\n{share}",
    )
    (tmp_path / "masks/b.png").unlink()
    code, words = tried("in", "--mask", "masks")
    assert code == 3 and "failed: in/b.png: no mask called b in masks\n" in words
    faults = {"empty.png": square(0), "small.png": square()[::2], "bad.png": None}
    told = ("marks nothing to fill", "is 60 x 20, the picture is 60 x 40", "is not a picture")
    for (name, mask), words in zip(faults.items(), told, strict=True):
        save(name, mask) if mask is not None else (tmp_path / name).write_text("no picture")
        code, said = tried("in/a.png", "--mask", name)
        assert code == (5 if name == "empty.png" else 2) and words in said
