"""The inpainter in use, as it is evaluated and shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import torch
from torch import Tensor

from deformcli.data import Batch, mask_names
from deformcli.images import to_tensor, to_uint8
from deformcli.recipes import Predictor, as_picture
from deformcli.warp import flow_to_rgb, smooth_fill

from .config import InpaintConfig
from .networks import Generator


class InpaintPredictor(Predictor):
    """Picture with holes -> picture without."""

    task = "inpaint"
    network = Generator
    defaults = InpaintConfig()
    default_weights = "inpaint-128"

    def predict(self, batch: Batch) -> Tensor:
        output = self.generator(batch["image"] * batch["known"], batch["known"]).output.clamp(-1, 1)
        return torch.where(batch["known"] > 0, batch["image"], output)

    def target(self, batch: Batch) -> Tensor:
        return batch["image"]

    def baselines(self) -> Mapping[str, Callable[[Batch], Tensor]]:
        return {
            "copy": lambda batch: batch["image"] * batch["known"],
            "telea": lambda batch: _opencv(batch, cv2.INPAINT_TELEA),
            "navier-stokes": lambda batch: _opencv(batch, cv2.INPAINT_NS),
            "biharmonic": lambda batch: smooth_fill(batch["image"], batch["known"]).clamp(-1, 1),
        }

    def groups(self, batch: Batch) -> list[str]:
        names = mask_names(self.config.masks)
        return [names[int(kind)] for kind in batch["kind"]]

    def warps(self, batch: Batch) -> Tensor:
        candidates = self.generator(batch["image"], batch["known"]).candidates
        return super().warps(batch) if candidates is None else candidates[:, -self.config.generator.flows :]

    def pictures(self, batch: Batch) -> dict[str, Tensor]:
        made = self.generator(batch["image"], batch["known"])
        columns = {"input": batch["image"] * batch["known"]}
        if made.flows is not None:
            columns |= {
                "flow 1": flow_to_rgb(made.flows[:, 0]),
                "warp 1": made.candidates[:, -self.config.generator.flows],
            }
        return columns | {"holes": as_picture(1 - batch["known"]), "output": made.output, "target": batch["image"]}


def _opencv(batch: Batch, method: int) -> Tensor:
    """OpenCV's inpainting with the radius its users take, 3 pixels, picture by picture."""
    holes = (batch["known"][:, 0] == 0).byte().cpu().numpy()
    filled = [cv2.inpaint(to_uint8(image), hole, 3, method) for image, hole in zip(batch["image"], holes, strict=True)]
    return torch.cat([to_tensor(picture) for picture in filled]).to(batch["image"].device)
