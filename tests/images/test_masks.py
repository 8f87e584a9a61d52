"""What counts as white in a mask picture, and what is told of it."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from deformcli import images

FILL = np.zeros((32, 48), np.uint8)
FILL[8:24, 10:30] = 255
SHAPE = FILL > 0
VOC = [(0, 0, 0), (128, 0, 0), (0, 128, 0), (192, 128, 128), (64, 0, 0), (224, 224, 192)]
"""Of the palette of the PASCAL VOC: background, aeroplane, bicycle, person, cat, and what is not told."""


def mask(pixels: np.ndarray | Image.Image, kind: str = "PNG") -> images.Picture:
    out = io.BytesIO()
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(out, kind)
    return images.decode_image(out.getvalue(), "a")


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "JPEG"])
@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 0, 255), (0, 255, 0), (128, 0, 0), (192, 128, 128), (255, 255, 0)])
def test_any_colour_is_white(colour, kind):
    picture = mask(np.where(SHAPE[..., None], np.uint8(colour), np.uint8(0)), kind)
    weights, notes = images.mask_weights(picture)
    if kind == "PNG":
        assert np.array_equal(weights, FILL)
    inner, outer = SHAPE[10:22, 12:28], ~SHAPE[:, 34:]
    assert inner.all() and (weights[10:22, 12:28] == 255).all() and outer.all() and (weights[:, 34:] < 8).all()
    assert "coloured" in notes[0]
    assert np.array_equal(images.mask_known(picture)[10:22, 12:28], ~inner)


def test_every_class_of_a_palette_is_white():
    indices = np.zeros(FILL.shape, np.uint8)
    indices[SHAPE] = np.arange(SHAPE.sum()) % 5 + 1
    image = Image.fromarray(indices, "P")
    image.putpalette([value for colour in VOC for value in colour])
    weights, notes = images.mask_weights(mask(image))
    assert np.array_equal(weights, FILL) and "coloured" in notes[0]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_1_is_white_where_there_is_0_and_1_alone(dtype):
    picture = mask(SHAPE.astype(dtype))
    weights, notes = images.mask_weights(picture)
    assert np.array_equal(weights, FILL) and "0 and 1" in notes[0]
    assert np.array_equal(images.mask_known(picture), ~SHAPE)


def test_mask_without_white_tells_its_brightest_value():
    weights, notes = images.mask_weights(mask(FILL // 255 * np.uint8(20)))
    assert weights.max() == 20 and "brightest value is 20 of 255" in notes[0]


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_soft_grey_stays_soft_without_a_word(kind):
    ramp = np.linspace(0, 255, 48).round().astype(np.uint8)[None].repeat(32, 0)
    weights, notes = images.mask_weights(mask(Image.fromarray(ramp).convert("RGB"), kind))
    assert np.abs(weights - ramp.astype(int)).max() <= 4 and not notes


def test_colours_under_transparency_are_none():
    rgba = np.dstack([np.where(SHAPE[..., None], np.uint8(255), np.uint8((255, 0, 0))), FILL])
    weights, notes = images.mask_weights(mask(rgba))
    assert np.array_equal(weights, FILL) and not notes
