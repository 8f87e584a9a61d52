"""`deformcli.frontalize` and `deformcli.inpaint`: what comes in comes out."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageCms

import deform_frontalize.function
from deform_frontalize.function import frontalize
from deform_inpaint.function import inpaint
from deformcli.errors import NothingToDoError, UsageError, WeightsError
from deformcli.images import read_image

from ..conftest import ROOT

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.fixture
def picture(hole) -> np.ndarray:
    """A smooth picture, with noise where the hole is."""
    y, x = np.mgrid[:70, :90]
    pixels = np.stack([2 * x, 3 * y, x + y], -1).astype(np.uint8)
    pixels[hole] = np.random.default_rng(0).integers(0, 256, (hole.sum(), 3))
    return pixels


@pytest.fixture
def hole() -> np.ndarray:
    mask = np.zeros((70, 90), bool)
    mask[30:40, 20:50] = True
    return mask


@pytest.fixture
def network(tiny_weights):
    return lambda task: {"weights": str(tiny_weights(task)), "device": "cpu"}


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("channels", [0, 1, 2, 3, 4])
def test_arrays_are_filled(network, picture, hole, channels, deep):
    given = np.concatenate([picture, picture[..., :1]], -1)[..., : channels or 1]
    given = given if channels else given[..., 0]
    given = given.astype(np.uint16) * 257 if deep else given
    before = given.copy()
    filled = inpaint(given, hole, **network("inpaint"))
    assert (filled.shape, filled.dtype) == (given.shape, given.dtype)
    assert (given == before).all() and (filled[~hole] == given[~hole]).all()
    colours = 1 if channels in (0, 2) else channels
    changed = (filled != given).reshape(70, 90, -1)[..., : min(colours, 3)]
    assert changed[hole].mean() > 0.5


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "I;16"])
def test_images_are_filled(network, picture, hole, mode):
    given = Image.fromarray(picture).convert("L" if mode == "I;16" else mode)
    given = Image.fromarray(np.array(given, np.uint16) * 257) if mode == "I;16" else given
    given.info["icc_profile"] = SRGB
    filled = inpaint(given, Image.fromarray(hole), **network("inpaint"))
    assert (filled.mode, filled.size) == ("RGB" if mode == "P" else mode, given.size)
    kept = np.array(given.convert(filled.mode))
    assert (np.array(filled)[~hole] == kept[~hole]).all() and (np.array(filled)[hole] != kept[hole]).any()
    assert mode == "I;16" or filled.info["icc_profile"] == SRGB


def test_masks_are_as_the_commands(network, picture, hole):
    options = network("inpaint")
    filled = inpaint(picture, hole, **options)
    assert (inpaint(picture, ~hole, invert_mask=True, **options) == filled).all()
    assert (inpaint(picture, Image.fromarray(hole).resize((180, 140)), mask_fit="resize", **options) == filled).all()
    small = np.zeros_like(hole)
    small[33:37, 23:47] = True
    assert (inpaint(picture, small, mask_dilate=3, **options) == filled).all()
    with pytest.raises(UsageError, match="the mask is 70 x 90, the picture is 90 x 70"):
        inpaint(picture, hole.T, **options)
    with pytest.raises(NothingToDoError, match="the mask marks nothing"):
        inpaint(picture, hole & False, **options)


def test_an_image_is_turned_upright(network, picture, hole):
    lying = Image.fromarray(picture).rotate(90, expand=True)
    lying.getexif()[0x0112] = 6
    assert (np.array(inpaint(lying, hole, **network("inpaint")))[~hole] == picture[~hole]).all()


@pytest.mark.parametrize("wrong", [None, "a.png", [[1]], np.zeros((4, 4)), np.zeros((4, 4, 5), np.uint8), np.uint8(3)])
def test_what_is_no_picture_is_refused(network, hole, wrong):
    with pytest.raises(UsageError, match="no picture"):
        inpaint(wrong, hole, **network("inpaint"))
    with pytest.raises(UsageError, match="no picture"):
        frontalize(wrong, **network("frontalize"))


def test_frontal_views(network, photo):
    options = network("frontalize")
    view = frontalize(photo, **options)
    assert (view.shape, view.dtype) == ((128, 128, 3), np.uint8)
    image = frontalize(Image.fromarray(photo), **options)
    assert isinstance(image, Image.Image) and (np.array(image) == view).all()
    assert frontalize(np.dstack([photo, photo[..., 0]]).astype(np.uint16) * 257, **options).shape == (128, 128, 3)
    assert frontalize(photo[..., 0], **options).shape == (128, 128)
    assert frontalize(photo.repeat(2, 0).repeat(2, 1), size="native", **options).shape[0] > 128
    assert frontalize(photo, aligned=True, size="native", **options).shape == (512, 512, 3)
    assert frontalize(photo, box=(150, 60, 150, 180), **options).shape == (128, 128, 3)
    (only,) = frontalize(photo, face="all", **options)
    assert (only == view).all()


def test_faces_pasted_back(network, photo):
    whole = frontalize(photo, paste=True, box=(150, 60, 150, 180), **network("frontalize"))
    assert whole.shape == photo.shape and (whole[:30] == photo[:30]).all() and (whole != photo).any()


def test_refusals_of_frontalize(network, picture):
    options = network("frontalize")
    with pytest.raises(NothingToDoError, match="no face found"):
        frontalize(picture, **options)
    with pytest.raises(UsageError, match="--face 0"):
        frontalize(picture, face=0, **options)
    with pytest.raises(UsageError, match="size 256"):
        frontalize(picture, size=256, **options)
    with pytest.raises(WeightsError, match="nobodys"):
        frontalize(picture, weights="nobodys")


def test_networks_are_loaded_once(network, photo, monkeypatch):
    options = network("frontalize")
    first = frontalize(photo, **options)
    monkeypatch.setattr(deform_frontalize.function.Frontalizer, "from_weights", None)
    assert (frontalize(photo, **options) == first).all()


def test_the_readmes_lines_run(environment, tmp_path):
    blocks = re.findall(r"(?:^    .*\n|^\n)+", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE)
    lines = [line[4:] for block in blocks if "import deformcli" in block for line in block.splitlines()]
    assert len([line for line in lines if line]) == 8
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    subprocess.run([sys.executable, "-c", "\n".join(lines)], cwd=tmp_path, env=environment, check=True)
    assert read_image(tmp_path / "frontal.png").size == (128, 128)
    assert read_image(tmp_path / "filled.png").size == read_image(ROOT / "examples" / "astronaut.jpg").size


def test_progress_is_told_and_ends_the_work(network, hole):
    rng = np.random.default_rng(0)
    large, holes = rng.integers(0, 256, (300, 400, 3), np.uint8), np.zeros((300, 400), bool)
    holes[20:25, 20:380] = holes[100:160, 100:160] = True  # many windows, and one that pixels are moved into
    told: list[float] = []
    filled = inpaint(large, holes, progress=told.append, **network("inpaint"))
    assert told == sorted(told) and told[0] == 0 and told[-1] == 1 and len(told) > 3
    assert (filled == inpaint(large, holes, **network("inpaint"))).all()

    def enough(share: float) -> None:
        if share > 0:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        inpaint(large, holes, progress=enough, **network("inpaint"))
