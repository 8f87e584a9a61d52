"""Pure functions of tensors; the weights of the terms are fields of a recipe's config. Thesis sections 3.2-3.4."""

from .adversarial import fooling_loss, least_squares_fooling_loss, least_squares_real_fake_loss, real_fake_loss
from .gap import gap_fooling_loss, gap_loss
from .identity import cosine_identity_loss, identity_loss
from .perceptual import content_loss, feature_loss, gram_matrix, style_loss
from .reconstruction import flow_loss, gradient_loss, masked_mean, pixel_loss, psnr_loss
from .rigidity import rigidity_loss

__all__ = [
    "content_loss",
    "cosine_identity_loss",
    "feature_loss",
    "flow_loss",
    "fooling_loss",
    "gap_fooling_loss",
    "gap_loss",
    "gradient_loss",
    "gram_matrix",
    "identity_loss",
    "least_squares_fooling_loss",
    "least_squares_real_fake_loss",
    "masked_mean",
    "pixel_loss",
    "psnr_loss",
    "real_fake_loss",
    "rigidity_loss",
    "style_loss",
]
