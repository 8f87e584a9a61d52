"""16 bits a channel, which Pillow does not have in colour: decoded by OpenCV, encoded here with profile and EXIF."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import numpy as np

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


def encode_png(pixels: np.ndarray, icc: bytes | None, exif: bytes | None) -> bytes:
    """A PNG file of (H, W, C) uint16: grey, grey and alpha, RGB or RGBA."""
    height, width, count = pixels.shape
    rows = pixels.astype(">u2").view(np.uint8).reshape(height, -1)
    rows[1:] -= rows[:-1].copy()  # filter 2: each byte less the one above
    filtered = np.concatenate([np.full((height, 1), 2, np.uint8), rows], axis=1)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[count], 0, 0, 0))]
    if icc:
        chunks.append((b"iCCP", b"icc\0\0" + zlib.compress(icc)))
    if exif:
        chunks.append((b"eXIf", exif.removeprefix(b"Exif\0\0")))
    chunks += [(b"IDAT", zlib.compress(filtered.tobytes(), LEVEL)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


def encode_tiff(pixels: np.ndarray, icc: bytes | None, exif: bytes | None) -> bytes:
    """A TIFF file of (H, W, C) uint16, compressed with deflate; its EXIF is dropped, as TIFF scatters it over tags."""
    if pixels.shape[2] == 2:  # few programs read grey and alpha
        pixels = pixels[..., [0, 0, 0, 1]]
    height, width, count = pixels.shape
    colours = 3 if count > 2 else 1
    body = zlib.compress(pixels.astype("<u2").tobytes(), LEVEL)
    short, long, undefined = "H", "I", "B"
    tags: list[tuple[int, str, list[int] | bytes]] = [
        (256, long, [width]),
        (257, long, [height]),
        (258, short, [16] * count),
        (259, short, [8]),  # deflate
        (262, short, [2 if colours == 3 else 1]),  # RGB, or grey with 0 = black
        (273, long, [8]),  # where the one strip begins
        (277, short, [count]),
        (278, long, [height]),
        (279, long, [len(body)]),
        (284, short, [1]),  # channels side by side
    ]
    if count > colours:
        tags.append((338, short, [2]))  # alpha, not multiplied in
    if icc:
        tags.append((34675, undefined, icc))
    start = 8 + len(body) + len(body) % 2
    extra = start + 2 + 12 * len(tags) + 4
    entries, values = b"", b""
    for tag, kind, numbers in tags:
        value = struct.pack(f"<{len(numbers)}{kind}", *numbers)
        if len(value) > 4:
            value += b"\0" * (len(value) % 2)
            place = struct.pack("<I", extra + len(values))
            values += value
        else:
            place = value.ljust(4, b"\0")
        entries += struct.pack("<HHI", tag, {"B": 7, "H": 3, "I": 4}[kind], len(numbers)) + place
    header = struct.pack("<2sHI", b"II", 42, start)
    directory = struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0)
    return header + body + b"\0" * (len(body) % 2) + directory + values


ENCODERS: dict[str, Callable[[np.ndarray, bytes | None, bytes | None], bytes]] = {
    "PNG": encode_png,
    "TIFF": encode_tiff,
}
"""Format -> encoder of (H, W, C) uint16, an ICC profile and EXIF."""
