"""Further people for Rank-1: one frontal picture of each, of the training split alone."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from deformcli.errors import UsageError
from deformcli.evaluation import training_people


def test_one_picture_of_each_training_person(tmp_path):
    for subject in (1, 2, 3):  # 001 is held out
        for number, camera in enumerate(("110", "051", "240")):
            picture = np.full((16, 16, 3), 60 * subject + number, np.uint8)
            cv2.imwrite(str(tmp_path / f"{subject:03d}_01_01_{camera}_00.png"), picture)
    found = list(training_people([f"multipie:{tmp_path}"], 16))
    assert [float(picture.mean()) for picture in found] == pytest.approx([121 / 127.5 - 1, 181 / 127.5 - 1], abs=1e-6)
    assert all(picture.shape == (3, 16, 16) and picture.dtype == torch.float32 for picture in found)
    assert not list(training_people([], 16))
    with pytest.raises(UsageError, match=f"--gallery folder:{tmp_path}"):
        list(training_people([f"folder:{tmp_path}"], 16))
