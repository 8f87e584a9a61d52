"""How good is a picture, against its truth; how alike are two sets of pictures; is it the same person."""

from .aligned import aligned_mse, landmark_error
from .fidelity import SMALL_SET, frechet_distance, inception_score, kernel_distance
from .perceptual import lpips, perceptual_distance, style_distance
from .pixel import WINDOW, hole_mse, hole_psnr, hole_sharpness, mse, psnr, ssim
from .recognition import identity_cosine, rank1

METRICS = {"mse": mse, "psnr": psnr, "ssim": ssim}
LOWER_IS_BETTER = ("mse",)

__all__ = [
    "LOWER_IS_BETTER",
    "METRICS",
    "SMALL_SET",
    "WINDOW",
    "aligned_mse",
    "frechet_distance",
    "hole_mse",
    "hole_psnr",
    "hole_sharpness",
    "identity_cosine",
    "inception_score",
    "kernel_distance",
    "landmark_error",
    "lpips",
    "mse",
    "perceptual_distance",
    "psnr",
    "rank1",
    "ssim",
    "style_distance",
]
