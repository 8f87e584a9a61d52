"""Run by pytest where deform and this plugin are installed."""

import numpy as np
from deform_swirl import swirl_file

from deformcli.batch import Item
from deformcli.images import read_image, write_image


def test_centre_turns_and_corners_stay(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (41, 61, 3), np.uint8)
    write_image(pixels, tmp_path / "in.png")
    swirl_file(Item(tmp_path / "in.png", tmp_path / "out.png"), turns=0.5)
    swirled = read_image(tmp_path / "out.png").rgb
    assert swirled.shape == pixels.shape
    assert (swirled[:, :10] == pixels[:, :10]).all()
    assert (swirled[20, 30] == pixels[20, 30]).all()
    assert (swirled[15:26, 25:36] != pixels[15:26, 25:36]).mean() > 0.9
