"""Networks and their parts, of torch alone."""

from deformcli._lazy import attach

__getattr__, __all__ = attach(
    __name__,
    discriminators=("FacePatchDiscriminator", "GapDiscriminator", "SpectralPatchDiscriminator"),
    embedders=("CompactVGG19Features", "MobileFaceNet", "VGG16Features"),
    face_mesh=("FaceMesh",),
    gated=("GatedUNet",),
    hourglass=("ResidualHourglass",),
    light_cnn=("LightCNN29",),
    residual_unet=("ResidualUNet",),
    resolution=("run_folded", "run_smooth"),
    unet=("UNet",),
)
