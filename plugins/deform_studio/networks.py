"""The work itself, by the functions that the other plugins offer: what they make is what their commands make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

import deformcli
from deformcli import registry
from deformcli.errors import NothingToDoError
from deformcli.faces import Face, crop, find_detector, square_around
from deformcli.images import Picture, to_tensor, to_uint8
from deformcli.runtime import choose_device
from deformcli.weights import resolve_weights

from .files import Files
from .jobs import Progress
from .options import FileOptions, NetworkOptions
from .session import Session, Step

SMALL = 64  # pixels of the picture that is filled to have the network ready


class Networks:
    """Loaded when they are first needed, and kept. To be used by one thread."""

    def __init__(self, options: NetworkOptions, files: Files) -> None:
        self.options, self.files = options, files
        self.where = {"device": options.device, "offline": options.offline}

    def warm_up(self, progress: Progress) -> dict[str, Any]:
        """Load what fills holes while the first mask is painted."""
        rows = np.arange(SMALL * SMALL) // SMALL
        self._inpaint(np.zeros((SMALL, SMALL, 3), np.uint8), (rows == 1).reshape(SMALL, SMALL), 0, progress)
        return {}

    def inpaint(self, session: Session, number: int, mask: np.ndarray, grow: int, progress: Progress) -> Step:
        """A result, filled where the mask (H, W) uint8 is 255, grown by so many pixels; raises as the command."""
        progress(None, "Getting the network ready")
        before = session.picture(number).rgb
        filled = self._inpaint(before, mask, grow, progress)
        command = ["inpaint", *(("--mask-dilate", str(grow)) if grow else ()), *self.flags(session, number, "inpaint")]
        return Step.between(command, before, filled, mask)

    def turn(
        self, session: Session, number: int, face: int, *, native: bool, paste: bool, warps: bool, progress: Progress
    ) -> Step:
        """A face of a result from the front, or the result with that face in it; raises as the command."""
        progress(None, "Turning the face")
        picture = session.picture(number)
        made = deformcli.frontalize(
            picture.rgb,
            face=face,
            size="native" if native else 128,
            paste=paste,
            weights=self.options.frontalize_weights,
            **self.where,
        )
        command = ["frontalize", "--face", str(face), *(("--size", "native") if native and not paste else ())]
        command += [*(("--paste",) if paste else ()), *self.flags(session, number, "frontalize")]
        if not paste:
            found = self._warps(picture, self.faces(session, number)[face - 1], progress) if warps else {}
            return Step(command, made, warps=found)
        if (made == picture.rgb).all():
            raise NothingToDoError(f"face {face} is seen from the front already", "turn it without pasting it back")
        return Step.between(command, picture.rgb, made, None)

    def faces(self, session: Session, number: int) -> Sequence[Face]:
        """The faces in a result, largest first."""
        if number not in session.faces:
            session.faces[number] = self._detector.find(session.picture(number).rgb8)
        return session.faces[number]

    def flags(self, session: Session, number: int, command: str) -> Sequence[str]:
        """Options of the command beside the work's own."""
        options, files = self.options, self.files
        values = {
            "--weights": options.inpaint_weights if command == "inpaint" else options.frontalize_weights,
            "--device": options.device if options.device != "auto" else None,
            "--max-pixels": files.max_pixels if files.max_pixels != FileOptions.max_pixels else None,
            "--frame": files.frame if not session.steps(number) else None,  # of the command that reads the photo
        }
        return [word for flag, value in values.items() if value for word in (flag, str(value))]

    def _inpaint(self, rgb: np.ndarray, mask: np.ndarray, grow: int, progress: Progress) -> np.ndarray:
        return deformcli.inpaint(
            rgb,
            mask,
            mask_dilate=grow,
            weights=self.options.inpaint_weights,
            progress=lambda share: progress(share, "Filling"),
            **self.where,
        )

    def _warps(self, picture: Picture, face: Face, progress: Progress) -> Mapping[str, Picture]:
        """The warped face, its holes and the flow, as --show-warp writes them."""
        import torch

        progress(None, "Drawing the warp")
        image = to_tensor(crop(picture.rgb8, square_around(face)))
        with torch.inference_mode():
            drawn = self._predictor.pictures({"image": image, "target": image})
        return {name: Picture(to_uint8(drawn[name])) for name in ("warped", "holes", "flow")}

    @cached_property
    def _detector(self) -> Any:
        return find_detector("mtcnn", str(choose_device(self.options.device)))

    @cached_property
    def _predictor(self) -> Any:
        predictor = registry.choose("recipe", "frontalize", registry.recipes()).predictor
        chosen = self.options.frontalize_weights or predictor.default_weights
        return predictor.from_weights(resolve_weights(chosen, task=predictor.task, offline=self.options.offline))
