"""File <-> pixels: the only home of sample depths, EXIF, ICC, alpha and of the polarity of masks.

Pixels keep the numbers of their file, and its colour profile is written back beside them: networks that move colours
need no other space, and converting a wide gamut to sRGB would clip it. Pillow and torch are imported when used.
"""

from deformcli._lazy import attach

__getattr__, __all__ = attach(
    __name__,
    decode=("decode_frames", "decode_image", "file_bytes", "pillow_limits", "read_image"),
    encode=("can_hold", "encode_frames", "encode_image", "write_image"),
    formats=("MAX_PIXELS", "READABLE", "WRITABLE"),
    interop=("from_image", "to_image"),
    masks=("mask_known", "mask_weights"),
    picture=(
        *("Picture", "to_depth", "to_tensor", "to_pixels", "to_uint8"),
        *("quantize", "dequantize", "to_unit", "from_unit"),
    ),
)
