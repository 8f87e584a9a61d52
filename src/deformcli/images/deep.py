"""16 bits a channel, which Pillow does not have in colour: decoded by OpenCV, encoded here with profile and EXIF.

So are all TIFFs: Pillow compresses none that has a directory of EXIF. tifffile does not serve: it writes no such
directories, and reads LZW by another package alone.
"""

from __future__ import annotations

import re
import struct
import zlib

import numpy as np

from .metadata import png_info, tiff_tags
from .picture import Picture

LEVEL = 4  # of zlib: 16-bit pictures hardly shrink further


def decode(data: bytes, *, bits: int = 16, frame: int = 0) -> tuple[np.ndarray, np.ndarray | None, bool]:
    """The pixels of a PNG or TIFF file, not turned upright.

    Args:
        data: of the file.
        bits: of its samples, 10 to 16.
        frame: which page, from 0.

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
    if bits < 16:  # they are the upper ones of 16
        pixels = _stretched(pixels // 2 ** (16 - bits), 2**bits - 1)
    count = pixels.shape[2]
    grey = count == 1 or (count == 4 and data[25:26] == b"\4" and data[:4] == b"\x89PNG")
    rgb = pixels.repeat(3, axis=2) if count == 1 else pixels[..., 2::-1]
    return rgb, pixels[..., 3] if count == 4 else None, grey


def decode_netpbm(data: bytes, start: int, size: tuple[int, int], most: int) -> tuple[np.ndarray, None, bool]:
    """The same of a PGM or PPM file whose samples begin at `start` and go to `most`, more than 255.

    Raises:
        ValueError: samples are missing.
    """
    grey, plain, body = data[1:2] in b"25", data[1:2] in b"23", data[start:]
    shape = (size[1], size[0], 1 if grey else 3)
    count = shape[0] * shape[1] * shape[2]
    if plain:
        samples = np.array(re.sub(rb"#[^\r\n]*", b"", body).split()[:count], np.uint16)
    else:
        samples = np.frombuffer(body[: len(body) // 2 * 2], ">u2")[:count]
    if len(samples) < count:
        raise ValueError("it ends too early")
    pixels = _stretched(samples.reshape(shape), most)
    return pixels.repeat(3, axis=2) if grey else pixels, None, grey


def _stretched(samples: np.ndarray, most: int) -> np.ndarray:
    """0..most -> 0..65535, uint16."""
    levels = (np.arange(most + 1) * (65535 / most)).round().astype(np.uint16)
    return levels[samples.clip(0, most)]


def encode_png(pixels: np.ndarray, picture: Picture) -> bytes:
    """A PNG file of (H, W, C) uint16, grey, grey and alpha, RGB or RGBA, with what `picture` says beside them."""
    height, width, count = pixels.shape
    rows = pixels.astype(">u2").view(np.uint8).reshape(height, -1)
    rows[1:] -= rows[:-1].copy()  # filter 2: each byte less the one above
    filtered = np.concatenate([np.full((height, 1), 2, np.uint8), rows], axis=1)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[count], 0, 0, 0))]
    if picture.icc:
        chunks.append((b"iCCP", b"icc\0\0" + zlib.compress(picture.icc)))
    if picture.dpi:
        chunks.append((b"pHYs", struct.pack(">IIB", *(round(dots / 0.0254) for dots in picture.dpi), 1)))  # a metre
    if picture.exif:
        chunks.append((b"eXIf", picture.exif.removeprefix(b"Exif\0\0")))
    chunks += [(name, body) for name, body, *_ in png_info(picture).chunks]
    chunks += [(b"IDAT", zlib.compress(filtered.tobytes(), LEVEL)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


def encode_tiff(pixels: np.ndarray, picture: Picture) -> bytes:
    """A TIFF file of (H, W, C) uint8 or uint16, compressed with deflate, with what `picture` says beside them."""
    height, width, count = pixels.shape
    bits = 8 * pixels.itemsize
    body = zlib.compress(pixels.astype(f"<u{pixels.itemsize}").tobytes(), LEVEL)
    tags = tiff_tags(picture)
    tags[256], tags[257], tags[258] = width, height, (bits,) * count
    tags[259], tags[262] = 8, 2 if count > 2 else 1  # deflate; RGB, or grey with 0 = black
    tags[273], tags[278], tags[279] = 0, height, len(body)  # one strip, 0 bytes behind the tags: Pillow adds their size
    tags[277], tags[284] = count, 1  # channels side by side
    if picture.dpi:
        tags[282], tags[283], tags[296] = *picture.dpi, 2  # an inch
    if count in (2, 4):
        tags[338] = 2  # alpha, not multiplied in
    if picture.icc:
        tags[34675] = picture.icc
    return tags.tobytes().removeprefix(b"Exif\0\0") + body
