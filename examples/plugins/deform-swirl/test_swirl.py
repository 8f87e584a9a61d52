"""Run by pytest where deform and this plugin are installed."""

import numpy as np
from deform_swirl import swirled

from deformcli.images import Picture


def test_centre_turns_and_corners_stay():
    pixels = np.random.default_rng(0).integers(0, 256, (2, 41, 61, 3), np.uint8)
    for before, after in zip(pixels, swirled([Picture(one) for one in pixels], turns=0.5), strict=True):
        assert after.rgb.shape == before.shape
        assert (after.rgb[:, :10] == before[:, :10]).all()
        assert (after.rgb[20, 30] == before[20, 30]).all()
        assert (after.rgb[15:26, 25:36] != before[15:26, 25:36]).mean() > 0.9
