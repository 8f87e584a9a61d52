"""How good is a picture, against its truth; how alike are two sets of pictures; is it the same person."""

from .fidelity import SMALL_SET, frechet_distance, inception_score, kernel_distance
from .perceptual import perceptual_distance
from .pixel import WINDOW, hole_mse, hole_psnr, mse, psnr, ssim
from .recognition import identity_cosine, rank1

METRICS = {"mse": mse, "psnr": psnr, "ssim": ssim}
LOWER_IS_BETTER = ("mse",)

__all__ = [
    "LOWER_IS_BETTER",
    "METRICS",
    "SMALL_SET",
    "WINDOW",
    "frechet_distance",
    "hole_mse",
    "hole_psnr",
    "identity_cosine",
    "inception_score",
    "kernel_distance",
    "mse",
    "perceptual_distance",
    "psnr",
    "rank1",
    "ssim",
]
