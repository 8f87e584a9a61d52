"""Broken picture files, made from tiny whole ones: cut short, bits turned over, misnamed, empty, with huge headers."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageCms, features

from deformcli.images import Picture
from deformcli.images.deep import encode_png, encode_tiff

FLIPS = 64
"""Copies of each whole file with one to eight bits turned over."""


def whole_files() -> dict[str, bytes]:
    """Name -> bytes of a whole file of 24 x 20 pixels, for every format and its main variants."""
    noise = np.random.default_rng(0).integers(0, 65536, (20, 24, 4), np.uint16)
    rgba = Image.fromarray((noise >> 8).astype(np.uint8))
    rgb, exif = rgba.convert("RGB"), Image.Exif()
    exif[0x0112], exif[0x013B] = 6, "Ann"
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()

    def pages() -> dict[str, object]:  # new ones: an image remembers how it was saved last
        return {"save_all": True, "append_images": [rgb.rotate(90), rgb.rotate(180)]}

    files = {
        "rgb.png": _saved(rgb, "PNG", icc_profile=icc, exif=exif),
        "rgba.png": _saved(rgba, "PNG"),
        "palette.png": _saved(rgb.quantize(9), "PNG", transparency=3),
        "bits.png": _saved(rgb.convert("1"), "PNG"),
        "animated.png": _saved(rgb, "PNG", **pages()),
        "deep.png": encode_png(noise, Picture(noise, icc=icc, exif=exif.tobytes())),
        "rgb.jpg": _saved(rgb, "JPEG", icc_profile=icc, exif=exif),
        "progressive.jpg": _saved(rgb, "JPEG", progressive=True),
        "cmyk.jpg": _saved(rgb.convert("CMYK"), "JPEG"),
        "phone.jpg": _saved(rgb, "MPO", **pages()),
        "lossy.webp": _saved(rgba, "WEBP", exif=exif),
        "lossless.webp": _saved(rgba, "WEBP", lossless=True),
        "animated.webp": _saved(rgb, "WEBP", **pages()),
        "rgb.bmp": _saved(rgb, "BMP"),
        "rgb.tiff": _saved(rgb, "TIFF", compression="tiff_lzw", exif=exif),
        "pages.tiff": _saved(rgb, "TIFF", **pages()),
        "deep.tiff": encode_tiff(noise[..., :3], Picture(noise, icc=icc)),
        "still.gif": _saved(rgb.quantize(16), "GIF"),
        "animated.gif": _saved(rgb, "GIF", **pages()),
        "rgb.ppm": _saved(rgb, "PPM"),
        "deep.pgm": b"P5\n24 20\n65535\n" + noise[..., 0].astype(">u2").tobytes(),
    }
    if features.check("avif"):
        files["rgb.avif"] = _saved(rgb, "AVIF", exif=exif)
    return files


def broken_files() -> Iterator[tuple[str, bytes]]:
    """(name, bytes) of the broken ones, always the same."""
    random, whole = np.random.default_rng(1), whole_files()
    for name, data in whole.items():
        suffix = name.rpartition(".")[2]
        stem = name.replace(".", "-")  # no two become one PNG
        for end in range(0, len(data), 64):
            yield f"{stem}-cut-{end}.{suffix}", data[:end]
        for number in range(FLIPS):
            turned = np.unpackbits(np.frombuffer(data, np.uint8))
            turned[random.integers(0, len(turned), random.integers(1, 9))] ^= 1
            yield f"{stem}-flip-{number}.{suffix}", np.packbits(turned).tobytes()
        for other in ("png", "jpg", "webp", "tiff", "bmp", "gif", "ppm", "avif"):
            if other != suffix:
                yield f"{stem}-as-{other}.{other}", data[: len(data) // 2]
        yield f"{stem}-empty.{suffix}", b""
        yield f"{stem}-zeros.{suffix}", bytes(len(data))
        yield f"{stem}-noise.{suffix}", random.bytes(len(data))
        yield f"{stem}-headless.{suffix}", data[16:]
        yield f"{stem}-text.{suffix}", b"<!doctype html><title>404 Not Found</title>"
    yield from _huge_headers(whole)


def _huge_headers(whole: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    png, jpg, bmp, gif = (bytearray(whole[name]) for name in ("rgba.png", "rgb.jpg", "rgb.bmp", "still.gif"))
    for number, (width, height) in enumerate([(2**31 - 1, 2**31 - 1), (2**31 - 1, 1), (60_000, 60_000), (0, 9)]):
        png[16:24] = struct.pack(">II", width, height)
        png[29:33] = struct.pack(">I", zlib.crc32(png[12:29]))
        yield f"huge-{number}.png", bytes(png)
        bmp[18:26] = struct.pack("<ii", width, height)
        yield f"huge-{number}.bmp", bytes(bmp)
        yield f"huge-ppm-{number}.ppm", f"P6 {width} {height} 255\n".encode()
        black = np.zeros((2, 2, 3), np.uint16)
        tiff = encode_tiff(black, Picture(black))
        for tag, value in ((256, width), (257, height)):
            at = tiff.index(struct.pack("<HHI", tag, 4, 1)) + 8
            tiff = tiff[:at] + struct.pack("<I", value) + tiff[at + 4 :]
        yield f"huge-{number}.tiff", tiff
    at = jpg.index(b"\xff\xc0") + 5
    jpg[at : at + 4] = b"\xff\xff\xff\xff"
    yield "huge.jpg", bytes(jpg)
    gif[6:10] = b"\xff\xff\xff\xff"
    yield "huge-gif.gif", bytes(gif)
    yield "bomb.png", _saved(Image.new("1", (14_000, 14_000)), "PNG")


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.copy().save(out, kind, **options)
    return out.getvalue()
