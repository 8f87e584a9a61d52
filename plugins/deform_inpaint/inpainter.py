"""The inpainter to call: weights in, pictures of any size filled."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from deformcli.images import Picture
from deformcli.options import NetworkOptions
from deformcli.runtime import choose_device
from deformcli.weights import build_generator, resolve_weights

from .masks import blend
from .mirrored import fill_wide
from .moved import all_moved
from .networks import Generator, GeneratorConfig
from .noise import calm
from .scales import halved, paste, thick_cores
from .tiles import Solve, count_windows, fill_tiles, tile_for

NETWORK = 0.3  # of the work, where pixels are moved too


class Inpainter:
    """Fills the holes of pictures of any size; memory beyond a few copies of the picture is bounded by `tile`."""

    def __init__(self, generator: Generator, device: torch.device) -> None:
        self.generator = generator.to(device).eval()
        self.window = generator.config.window
        self.device = device

    @classmethod
    def from_weights(cls, path: Path, device: torch.device) -> Inpainter:
        """Build the network a weights file describes. Raises WeightsError if it is not one of this task."""
        return cls(build_generator(Generator, GeneratorConfig, path, "inpaint"), device)

    @classmethod
    def load(cls, options: NetworkOptions) -> Inpainter:
        """The network that a user chose. Raises WeightsError if it is not to be had."""
        path = resolve_weights(options.weights or "inpaint-128", task="inpaint", offline=options.offline)
        return cls.from_weights(path, choose_device(options.device))

    def fill(
        self,
        picture: Picture,
        weights: np.ndarray,
        *,
        tile: int | None = None,
        progress: Callable[[float], object] | None = None,
    ) -> Picture:
        """The picture, its pixels replaced as far as `weights` (H, W) uint8 say: 0 = not at all, 255 = wholly."""
        filled = self(picture.rgb, weights == 0, tile=tile, progress=progress)
        blend(filled, picture.rgb, weights)
        return picture.replaced(filled)

    def __call__(
        self,
        pixels: np.ndarray,
        known: np.ndarray,
        *,
        tile: int | None = None,
        progress: Callable[[float], object] | None = None,
    ) -> np.ndarray:
        """The picture (H, W, 3) uint8 or uint16, filled where `known` (H, W) bool is False, elsewhere bit for bit.

        Args:
            pixels: what is beneath holes does not matter.
            known: at least one pixel is.
            tile: side in pixels of the piece that is in work at once, which changes nothing but the memory; None:
                as large as the free memory allows.
            progress: called with the share of the work that is done; what it raises ends the work.
        """
        tell = progress or (lambda share: None)
        filled, coarse = pixels.copy(), all_moved(known)
        network = NETWORK if coarse.any() else 1.0
        expected = count_windows(known, self.window) * 4 / 3  # the coarser ones are a quarter as many, and so on
        solved = 0

        def solve(windows: np.ndarray, known: np.ndarray) -> np.ndarray:
            nonlocal solved
            tell(network * min(solved / expected, 1.0))
            solved += len(windows)
            return self._solve(windows, known)

        self._fill(filled, known, solve, tile or tile_for(pixels.shape[:2], self.window), coarse)
        tell(network)
        fill_wide(filled, known, lambda share: tell(network + (1 - network) * share))
        tell(1.0)
        return filled

    def _fill(
        self, pixels: np.ndarray, known: np.ndarray, solve: Solve, tile: int, coarse: np.ndarray | bool = False
    ) -> None:
        """In place, coarse to fine: the middle of a hole too wide for the network comes from half the resolution.

        So does what is `coarse` (H, W): where only low frequencies will be taken.
        """
        cores = thick_cores(known) | coarse
        if cores.any():
            small, small_known = halved(pixels, known, tile)
            self._fill(small, small_known, solve, tile)
            paste(small, pixels, cores, tile)
        fill_tiles(pixels, known | cores, solve, tile, self.window)

    @torch.inference_mode()
    def _solve(self, windows: np.ndarray, known: np.ndarray) -> np.ndarray:
        """Run the network on windows (N, S, S, 3) in [-1, 1] and known (N, S, S)."""
        image = torch.from_numpy(windows).permute(0, 3, 1, 2).to(self.device)
        mask = torch.from_numpy(known)[:, None].float().to(self.device)
        return self.generator(calm(image, mask), mask).output.clamp(-1, 1).permute(0, 2, 3, 1).cpu().numpy()
