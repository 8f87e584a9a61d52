"""16 bits a channel, which Pillow does not have in colour: decoded by OpenCV, encoded here with profile and EXIF.

tifffile does not serve: it writes no EXIF directories, and reads LZW by another package alone.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image

Dpi = tuple[float, float] | None
ABOUT = (270, 271, 272, 305, 306, 315, 33432, 34665, 34853)
"""The tags of a TIFF that are about the picture, not about how its pixels are stored."""
LEVEL = 4  # of zlib: 16-bit pictures hardly shrink further


def decode(data: bytes, frame: int = 0) -> tuple[np.ndarray, np.ndarray | None, bool]:
    """The pixels of a PNG, TIFF or PPM file, not turned upright.

    Returns:
        (H, W, 3) uint16, alpha (H, W) uint16 or None, and whether the file is grey.

    Raises:
        ValueError: OpenCV cannot decode it.
    """
    import cv2

    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    buffer = np.frombuffer(data, np.uint8)
    if frame:
        good, pages = cv2.imdecodemulti(buffer, cv2.IMREAD_UNCHANGED, range=(frame, frame + 1))
        pixels = pages[0] if good and len(pages) == 1 else None
    else:
        pixels = cv2.imdecode(buffer, cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16:
        raise ValueError("OpenCV cannot decode it")
    pixels = pixels.reshape(*pixels.shape[:2], -1)  # (H, W, C), colours as BGR
    count = pixels.shape[2]
    grey = count == 1 or (count == 4 and data[25:26] == b"\4" and data[:4] == b"\x89PNG")
    rgb = pixels.repeat(3, axis=2) if count == 1 else pixels[..., 2::-1]
    return rgb, pixels[..., 3] if count == 4 else None, grey


def encode_png(pixels: np.ndarray, icc: bytes | None, exif: bytes | None, dpi: Dpi = None) -> bytes:
    """A PNG file of (H, W, C) uint16: grey, grey and alpha, RGB or RGBA."""
    height, width, count = pixels.shape
    rows = pixels.astype(">u2").view(np.uint8).reshape(height, -1)
    rows[1:] -= rows[:-1].copy()  # filter 2: each byte less the one above
    filtered = np.concatenate([np.full((height, 1), 2, np.uint8), rows], axis=1)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[count], 0, 0, 0))]
    if icc:
        chunks.append((b"iCCP", b"icc\0\0" + zlib.compress(icc)))
    if dpi:
        chunks.append((b"pHYs", struct.pack(">IIB", *(round(dots / 0.0254) for dots in dpi), 1)))  # a metre
    if exif:
        chunks.append((b"eXIf", exif.removeprefix(b"Exif\0\0")))
    chunks += [(b"IDAT", zlib.compress(filtered.tobytes(), LEVEL)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


def encode_tiff(pixels: np.ndarray, icc: bytes | None, exif: bytes | None, dpi: Dpi = None) -> bytes:
    """A TIFF file of (H, W, C) uint16, compressed with deflate."""
    if pixels.shape[2] == 2:  # few programs read grey and alpha
        pixels = pixels[..., [0, 0, 0, 1]]
    height, width, count = pixels.shape
    body = zlib.compress(pixels.astype("<u2").tobytes(), LEVEL)
    tags = Image.Exif()  # to Pillow, EXIF is a TIFF without a picture
    tags.endian = "<"
    if exif:
        _copy_tags(exif, tags)
    tags[256], tags[257], tags[258] = width, height, (16,) * count
    tags[259], tags[262] = 8, 2 if count > 2 else 1  # deflate; RGB, or grey with 0 = black
    tags[273], tags[278], tags[279] = 0, height, len(body)  # one strip, 0 bytes behind the tags: Pillow adds their size
    tags[277], tags[284] = count, 1  # channels side by side
    if dpi:
        tags[282], tags[283], tags[296] = *dpi, 2  # an inch
    if count == 4:
        tags[338] = 2  # alpha, not multiplied in
    if icc:
        tags[34675] = icc
    return tags.tobytes().removeprefix(b"Exif\0\0") + body


def _copy_tags(exif: bytes, tags: Image.Exif) -> None:
    """What the bytes say about the picture, not about how some file stored its pixels."""
    old = Image.Exif()
    old.load(exif)
    for tag in ABOUT:
        if tag in old:
            tags[tag] = old.get_ifd(tag) or old[tag]


ENCODERS: dict[str, Callable[[np.ndarray, bytes | None, bytes | None, Dpi], bytes]] = {
    "PNG": encode_png,
    "TIFF": encode_tiff,
}
"""Format -> encoder of (H, W, C) uint16, an ICC profile, EXIF, and dots per inch."""
