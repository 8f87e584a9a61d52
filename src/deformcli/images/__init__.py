"""File <-> pixels: the only home of sample depths, EXIF, ICC, alpha and of the polarity of masks. Imports torch late.

Pixels keep the numbers of their file, and its colour profile is written back beside them: networks that move colours
need no other space, and converting a wide gamut to sRGB would clip it.
"""

from .decode import decode_image, pillow_limits, read_image
from .encode import encode_image, write_image
from .masks import mask_known, mask_weights
from .picture import Picture, to_depth, to_pixels, to_tensor, to_uint8

__all__ = [
    "Picture",
    "decode_image",
    "encode_image",
    "mask_known",
    "mask_weights",
    "pillow_limits",
    "read_image",
    "to_depth",
    "to_pixels",
    "to_tensor",
    "to_uint8",
    "write_image",
]
