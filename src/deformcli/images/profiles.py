"""ICC profiles: which fit the pixels, and those made where a file gives numbers instead of one."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeGuard

import numpy as np
from PIL import Image, ImageCms

SRGB = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
"""Chromaticities x, y of white, red, green and blue, in the order of PNG's cHRM."""
_P3 = (0.3127, 0.3290, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060)
_PRIMARIES = {
    1: SRGB,
    5: (0.3127, 0.3290, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
    6: (0.3127, 0.3290, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    9: (0.3127, 0.3290, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    11: (0.314, 0.351, *_P3[2:]),
    12: _P3,
}
"""Code of ITU-T H.273 -> chromaticities."""
_D50 = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def fitting(icc: bytes | None, *, grey: bool) -> bytes | None:
    """The profile if it describes RGB pixels, or grey ones where they are; else None."""
    return icc if icc and icc[16:20] in ((b"RGB ", b"GRAY") if grey else (b"RGB ",)) else None


def is_grey(icc: bytes | None) -> TypeGuard[bytes]:
    """Whether the profile describes pixels of one channel."""
    return icc is not None and icc[16:20] == b"GRAY"


def is_hdr(code: bytes | None) -> bool:
    """Whether primaries and transfer by ITU-T H.273 are those of PQ or HLG, which no ICC profile describes well."""
    return code is not None and code[1] in (16, 18)


def is_known(code: bytes) -> bool:
    """Whether `of_code` knows what the code means."""
    return code[0] in _PRIMARIES and code[1] in _TRANSFERS


def of_code(code: bytes, *, grey: bool) -> bytes | None:
    """The profile of primaries and transfer by ITU-T H.273; None for sRGB, and for unknown ones."""
    if not is_known(code) or code[:2] == b"\1\x0d":
        return None
    return _made(_curve(_TRANSFERS[code[1]]), _PRIMARIES[code[0]], grey=grey)


def of_png(info: Mapping[Any, Any], *, grey: bool) -> bytes | None:
    """The profile that sRGB, or else gAMA and cHRM, of a PNG stand for; None for sRGB, and where nothing is said."""
    if "srgb" in info or not ("gamma" in info or "chromaticity" in info):
        return None
    primaries, gamma = info.get("chromaticity", SRGB), info.get("gamma", 1 / 2.2)
    if not gamma or (abs(gamma - 1 / 2.2) < 0.003 and np.allclose(primaries, SRGB, atol=0.003)):
        return None
    return _made(_curve(lambda level: level ** (1 / gamma)), primaries, grey=grey)


def for_rgb(icc: bytes) -> bytes | None:
    """A profile that tells of neutral RGB pixels what a grey one tells of its channel; None if it is of a rare kind."""
    curves = [body for name, body in _tags(icc) if name == b"kTRC"]
    return _made(curves[0], SRGB, grey=False) if curves and icc[20:24] == b"XYZ " else None


def to_srgb(image: Image.Image, icc: bytes | None) -> Image.Image | None:
    """An image's pixels as RGB in sRGB; None if the profile does not serve. Lab needs none."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(icc)) if icc else ImageCms.createProfile("LAB")
        return ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):
        return None


def _linear_of_srgb(level: np.ndarray) -> np.ndarray:
    return np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)


def _linear_of_video(level: np.ndarray) -> np.ndarray:
    return np.where(level < 0.081, level / 4.5, ((level + 0.099) / 1.099) ** (1 / 0.45))


_TRANSFERS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    **dict.fromkeys((1, 6, 14, 15), _linear_of_video),
    4: lambda level: level**2.2,
    5: lambda level: level**2.8,
    8: lambda level: level,
    13: _linear_of_srgb,
}
"""Code of ITU-T H.273 -> what light a level in 0..1 stands for."""


def _curve(light: Callable[[np.ndarray], np.ndarray]) -> bytes:
    samples = (light(np.linspace(0, 1, 1024)) * 65535).round().astype(">u2")
    return struct.pack(">4sII", b"curv", 0, len(samples)) + samples.tobytes()


def _made(curve: bytes, chromaticities: tuple[float, ...], *, grey: bool) -> bytes:
    """An ICC profile, version 2, of one curve and of white, red, green and blue (PCS XYZ, its white D50)."""
    name = b"made from the file's own numbers\0"
    description = struct.pack(">4sII", b"desc", 0, len(name)) + name + bytes(78)
    tags = {b"desc": description, b"cprt": b"text\0\0\0\0none\0", b"wtpt": _xyz(_D50)}
    if grey:
        tags[b"kTRC"] = curve
    else:
        columns = zip((b"r", b"g", b"b"), _colorants(chromaticities).T, strict=True)
        tags |= {letter + b"XYZ": _xyz(column) for letter, column in columns}
        tags |= {letter + b"TRC": curve for letter in (b"r", b"g", b"b")}
    table, body, places = struct.pack(">I", len(tags)), b"", dict[bytes, int]()
    for tag, data in tags.items():
        if data not in places:  # the three curves are one
            places[data] = 132 + 12 * len(tags) + len(body)
            body += data + bytes(-len(data) % 4)
        table += struct.pack(">4sII", tag, places[data], len(data))
    head = struct.pack(">II", 128 + len(table) + len(body), 0) + b"\2\x10\0\0mntr" + (b"GRAY" if grey else b"RGB ")
    head += b"XYZ " + struct.pack(">6H", 2000, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + _xyz(_D50)[8:]
    return head.ljust(128, b"\0") + table + body


def _xyz(values: np.ndarray) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(65536 * value) for value in values))


def _colorants(chromaticities: tuple[float, ...]) -> np.ndarray:
    """XYZ of red, green and blue, the columns, adapted to D50 by Bradford."""
    points = np.array(chromaticities, float).reshape(4, 2)  # white, red, green, blue
    white, *colours = np.c_[points, 1 - points.sum(1)] / points[:, 1:]  # of luminance 1
    primaries = np.array(colours).T
    own = primaries * np.linalg.solve(primaries, white)  # together they are white
    gains = (_BRADFORD @ _D50) / (_BRADFORD @ white)
    return np.linalg.solve(_BRADFORD, gains[:, None] * (_BRADFORD @ own))


def _tags(icc: bytes) -> Iterator[tuple[bytes, bytes]]:
    count = int.from_bytes(icc[128:132], "big")
    for at in range(132, 132 + 12 * min(count, 100), 12):
        name, start, size = struct.unpack(">4sII", icc[at : at + 12].ljust(12, b"\0"))
        yield name, icc[start : start + size]
