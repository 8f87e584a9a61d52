"""What a file says beside its pixels: EXIF, XMP, IPTC, text; read from Pillow's images, and ready to be written."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from .picture import Picture

XMP, IPTC, PHOTOSHOP = 700, 33723, 34377
ABOUT = (270, 271, 272, 305, 306, 315, 33432, 34665, 34853)
"""The tags of a TIFF that are about the picture, not about how its pixels are stored."""
LONGEST = 65_000
"""Bytes of a segment of a JPEG, about; longer EXIF, XMP, IPTC and comments have no room in one."""
_ORIENTATION = 0x0112
_UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: pixels[::-1].swapaxes(0, 1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: lambda pixels: pixels[:, ::-1].swapaxes(0, 1),
}
"""EXIF orientation -> stored pixels (H, W, ...) as they are to be seen."""
_RAW_IPTC = "Raw profile type iptc"
_IPTC_BLOCK = b"8BIM\4\4\0\0"


def exif_and_turn(image: Image.Image, kind: str) -> tuple[bytes | None, Callable[[np.ndarray], np.ndarray]]:
    """EXIF without the orientation, and what applies that; none where it is damaged: the pixels may be well."""
    try:
        exif = image.getexif()
        orientation = exif.pop(_ORIENTATION, None)
        turn = _UPRIGHT.get(orientation, np.asarray)
        if kind == "JXL" and not image.jpeg:  # type: ignore[attr-defined]  # its own orientation has been applied
            turn = np.asarray
        for tag in [tag for tag in exif if kind == "TIFF" and tag not in ABOUT]:
            del exif[tag]
        exif.bigtiff = False  # no other format knows that of a BigTIFF
        said = exif.tobytes() if exif else None
        if orientation:  # the image is not ours, and other frames share its EXIF
            exif[_ORIENTATION] = orientation
        return said, turn
    except Exception:
        return None, np.asarray


def other(image: Image.Image) -> dict[str, Any]:
    """XMP, IPTC and text as fields of a `Picture`; of XMP, too, the orientation has been applied."""
    xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or _tag(image, XMP)
    xmp = xmp.encode() if isinstance(xmp, str) else xmp
    text = {**getattr(image, "text", {})}
    comment = image.info.get("comment")
    if isinstance(comment, bytes) and comment:
        text["Comment"] = comment.decode("utf-8", "replace")
    iptc = image.info.get("photoshop", {}).get(0x0404) or _tag(image, IPTC) or _iptc_of_text(text.get(_RAW_IPTC, ""))
    return {
        "xmp": re.sub(rb"(tiff:Orientation\s*(?:=\s*[\"']|>))\d", rb"\g<1>1", xmp) if isinstance(xmp, bytes) else None,
        "iptc": iptc if isinstance(iptc, bytes) else None,
        "text": {key: words for key, words in text.items() if not key.startswith(("Raw profile", "XML:com.adobe"))},
    }


def png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and content of the chunks of a PNG that come before its pixels."""
    at = 8
    while data[:4] == b"\x89PNG" and at + 8 <= len(data):
        size, name = struct.unpack(">I4s", data[at : at + 8])
        if name == b"IDAT":
            return
        yield name, data[at + 8 : at + 8 + size]
        at += 12 + size


def png_info(picture: Picture) -> PngInfo:
    """The chunks that tell what neither Pillow's options nor `deep` write by themselves."""
    info = PngInfo()
    if picture.cicp:
        info.add(b"cICP", picture.cicp)
    if picture.xmp:
        info.add_itxt("XML:com.adobe.xmp", picture.xmp.decode("utf-8", "replace"))
    if picture.iptc:
        block = _iptc_block(picture.iptc)
        info.add_text(_RAW_IPTC, f"\niptc\n{len(block):8}\n{block.hex()}\n", zip=True)
    for key, words in picture.text.items():
        info.add_text(key, words, zip=len(words) > 1000)
    return info


def tiff_tags(picture: Picture) -> Image.Exif:
    """EXIF, XMP and IPTC as the tags of a TIFF: to Pillow, EXIF is a TIFF without a picture."""
    tags, old = Image.Exif(), Image.Exif()
    tags.endian = "<"
    if picture.exif:
        old.load(picture.exif)
    for tag in ABOUT:
        if tag in old:
            tags[tag] = old.get_ifd(tag) or old[tag]
    for tag, value in ((XMP, picture.xmp), (IPTC, picture.iptc)):
        if value:
            tags[tag] = value
    return tags


def jpeg_options(picture: Picture) -> dict[str, object]:
    """What Pillow writes into a JPEG beside profile and dots per inch, as far as there is room."""
    extra = b"Photoshop 3.0\0" + _iptc_block(picture.iptc) if picture.iptc else b""
    segment = struct.pack(">HH", 0xFFED, 2 + len(extra)) + extra if 0 < len(extra) < LONGEST else b""
    said = {"exif": picture.exif, "xmp": picture.xmp, "comment": picture.text.get("Comment", "").encode()}
    return {"extra": segment, **{key: value for key, value in said.items() if value and len(value) < LONGEST}}


def _tag(image: Image.Image, tag: int) -> object:
    return image.tag_v2.get(tag) if hasattr(image, "tag_v2") else None


def _iptc_block(iptc: bytes) -> bytes:
    """IPTC in the wrapping of Photoshop that JPEG and PNG files have it in."""
    return _IPTC_BLOCK + struct.pack(">I", len(iptc)) + iptc + bytes(len(iptc) % 2)


def _iptc_of_text(text: str) -> bytes | None:
    try:
        _, _, body = bytes.fromhex("".join(text.split()[2:])).partition(_IPTC_BLOCK)
    except ValueError:
        return None
    return body[4 : 4 + int.from_bytes(body[:4], "big")] or None
