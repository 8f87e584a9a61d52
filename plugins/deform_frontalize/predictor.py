"""The frontalizer in use, as it is evaluated and shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from deformcli.data import Batch
from deformcli.recipes import Predictor, as_picture
from deformcli.warp import flow_to_rgb, mesh_grid

from .config import FrontalizeConfig
from .networks import Generator


class FrontalizePredictor(Predictor):
    """Turned face -> frontal face."""

    task = "frontalize"
    network = Generator
    defaults = FrontalizeConfig()
    default_weights = "frontalize-128"

    def predict(self, batch: Batch) -> Tensor:
        return self.generator(batch["image"]).output.clamp(-1, 1)

    def target(self, batch: Batch) -> Tensor:
        return batch["target"]

    def baselines(self) -> Mapping[str, Callable[[Batch], Tensor]]:
        return {"copy": lambda batch: batch["image"], "mirror": _mirror_the_near_half}

    def groups(self, batch: Batch) -> list[str]:
        return [f"{int(yaw):+d}" for yaw in batch["yaw"]]

    def known(self, batch: Batch) -> Tensor:
        return (self.generator(batch["image"]).known > 0.5).float()

    def warps(self, batch: Batch) -> Tensor:
        return self.generator(batch["image"]).warped[:, None]

    def pictures(self, batch: Batch) -> dict[str, Tensor]:
        made = self.generator(batch["image"])
        return {
            "input": batch["image"],
            "flow": flow_to_rgb(made.flow),
            "warped": made.warped,
            "holes": as_picture(1 - made.known),
            "output": made.output,
            "target": batch["target"],
        }


def _mirror_the_near_half(batch: Batch) -> Tensor:
    """The half of the face that is turned to the camera, moved to where it is from the front, and its mirror image.

    The midline lies off the middle of the crop by the sine of the yaw, times what suits turned photos best.
    """
    image, sine = batch["image"], torch.deg2rad(batch["yaw"]).sin().view(-1, 1, 1)
    x, y = mesh_grid(*image.shape[2:], device=image.device)[0]
    side = torch.where(sine > 0, 1.0, -1.0)  # the nose to the right: the near half is the left one
    x = 0.5 * sine - side * x.abs()
    grid = torch.stack([x, y.expand_as(x)], -1)  # (N, H, W, 2)
    return F.grid_sample(image, grid, padding_mode="border", align_corners=True)
