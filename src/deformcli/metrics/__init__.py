"""How good is a picture: against its truth."""

from .pixel import hole_mse, hole_psnr, hole_sharpness, mse, psnr, ssim

METRICS = {"mse": mse, "psnr": psnr, "ssim": ssim}
LOWER_IS_BETTER = ("mse",)

__all__ = ["LOWER_IS_BETTER", "METRICS", "hole_mse", "hole_psnr", "hole_sharpness", "mse", "psnr", "ssim"]
