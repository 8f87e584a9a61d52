"""How good is a picture: against its truth."""

from .pixel import mse, psnr, ssim

METRICS = {"mse": mse, "psnr": psnr, "ssim": ssim}
LOWER_IS_BETTER = ("mse",)

__all__ = ["LOWER_IS_BETTER", "METRICS", "mse", "psnr", "ssim"]
