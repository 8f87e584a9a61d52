"""What a file says beside its pixels, profiles above all, is carried into every format that has a place for it."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from deformcli import images
from deformcli.errors import UsageError
from deformcli.images import profiles

RANDOM = np.random.default_rng(0)
RGB = RANDOM.integers(0, 256, (6, 9, 3), dtype=np.uint8)
GREY = RANDOM.integers(0, 256, (6, 9), dtype=np.uint8)
DEPTHS = {8: np.uint8, 16: np.uint16}
SUFFIXES = ["png", "jpg", "webp", "avif", "tiff"]
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="%d" dc:creator="Ann"/></x:xmpmeta>'
IPTC = b"\x1c\x02\x50\x00\x03Ann"
LIGHT = profiles._made(profiles._curve(lambda level: level**1.4), profiles.SRGB, grey=True)
"""Of grey pixels, much lighter than in sRGB."""


def saved(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def with_chunk(data: bytes, name: bytes, body: bytes) -> bytes:
    """A PNG with one chunk more, behind its header."""
    chunk = struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    return data[:33] + chunk + data[33:]


def rewritten(data: bytes, suffix: str, **options) -> Image.Image:
    image = Image.open(io.BytesIO(images.encode_image(images.decode_image(data, "a"), f".{suffix}", **options)))
    image.load()
    return image


def seen(image: Image.Image, icc: bytes | None) -> np.ndarray:
    """The pixels as they are to be seen, in sRGB."""
    made = profiles.to_srgb(image, icc) if icc else image.convert("RGB")
    return np.asarray(made).astype(int)


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("suffix", [*SUFFIXES, "bmp"])
def test_grey_with_a_profile_of_grey_looks_the_same(suffix, depth, alpha):
    pixels = np.linspace(0, 255, 64 * 64).reshape(64, 64).astype(np.uint8)
    rgb = images.to_depth(pixels[..., None].repeat(3, 2), DEPTHS[depth])
    opaque = np.full_like(rgb[..., 0], 2**depth - 1)
    picture = images.Picture(rgb, opaque if alpha else None, True, LIGHT)
    written = images.decode_image(images.encode_image(picture, f".{suffix}"), "a")
    assert written.grey == profiles.is_grey(written.icc)
    before = seen(Image.fromarray(pixels), LIGHT)
    channels = Image.fromarray(written.rgb8).convert("L" if profiles.is_grey(written.icc) else "RGB")
    assert np.abs(seen(channels, written.icc) - before).max() <= (6 if suffix in ("jpg", "avif") else 2)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_profile_of_other_pixels_is_not_carried(suffix):
    wide = profiles.of_code(b"\x0c\x0d\0\1", grey=False)
    assert rewritten(saved(Image.fromarray(RGB), icc_profile=LIGHT), suffix).info.get("icc_profile") is None
    grey = rewritten(saved(Image.fromarray(GREY), icc_profile=wide), suffix)
    assert grey.mode == "RGB" and grey.info["icc_profile"] == wide
    lab = saved(Image.fromarray(RGB), icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes())
    assert rewritten(lab, suffix).info.get("icc_profile") is None


GAMMA = struct.pack(">I", 100_000)
WIDE = struct.pack(">8I", *(round(value * 100_000) for value in profiles._P3))


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "chunks",
    [[(b"gAMA", GAMMA)], [(b"cHRM", WIDE)], [(b"gAMA", GAMMA), (b"cHRM", WIDE)], [(b"cICP", b"\x0c\x08\0\1")]],
    ids=["gAMA", "cHRM", "both", "cICP"],
)
def test_colours_a_png_gives_in_numbers_look_the_same(chunks, suffix, grey):
    patch = Image.new("L", (32, 32), 70) if grey else Image.new("RGB", (32, 32), (200, 90, 70))
    data = saved(patch)
    for name, body in chunks:
        data = with_chunk(data, name, body)
    image = rewritten(data, suffix)
    linear = chunks[0][0] != b"cHRM"
    level = np.array(patch.getpixel((0, 0)), float).reshape(-1) / 255
    light = level if linear else profiles._linear_of_srgb(level)
    if not grey and len(chunks) + (chunks[0][0] != b"gAMA") > 1:  # from P3 to sRGB, out of the tables of both
        light = np.array([[1.22494, -0.22494, 0], [-0.04206, 1.04206, 0], [-0.01964, -0.07864, 1.09828]]) @ light
    expected = np.where(light > 0.0031308, 1.055 * light.clip(0) ** (1 / 2.4) - 0.055, 12.92 * light) * 255
    found = seen(image, image.info.get("icc_profile"))[16, 16]
    assert np.abs(found - expected.round().clip(0, 255)).max() <= (5 if suffix in ("jpg", "avif") else 2)
    assert image.info.get("gamma") is None


@pytest.mark.parametrize("chunk", [(b"gAMA", struct.pack(">I", 45455)), (b"sRGB", b"\0"), (b"cICP", b"\1\x0d\0\1")])
def test_srgb_needs_no_profile(chunk):
    assert images.decode_image(with_chunk(saved(Image.fromarray(RGB)), *chunk), "a").icc is None


@pytest.mark.parametrize("depth", [8, 16])
def test_hdr_colours_stay_in_a_png_and_fit_nothing_else(depth):
    code = b"\x09\x10\0\1"  # BT.2020, PQ
    data = images.encode_image(images.Picture(images.to_depth(RGB, DEPTHS[depth])), ".png")
    picture = images.decode_image(with_chunk(data, b"cICP", code), "a")
    assert picture.icc is None and picture.cicp == code
    assert images.decode_image(images.encode_image(picture, ".png", metadata=False), "a").cicp == code
    with pytest.raises(UsageError, match="HDR"):
        images.encode_image(picture, ".jpg")


def source(kind: str) -> bytes:
    """A file that says all that its format has a place for."""
    image, xmp = Image.fromarray(RGB), XMP % 6
    options = {"xmp": xmp}
    block = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(IPTC)) + IPTC
    if kind == "JPEG":
        app13 = b"Photoshop 3.0\0" + block
        options |= {"extra": struct.pack(">HH", 0xFFED, 2 + len(app13)) + app13, "comment": b"by Ann"}
    if kind == "TIFF":
        options = {"tiffinfo": {700: xmp, 33723: IPTC}}
    if kind == "PNG":
        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", xmp.decode())
        info.add_text("Raw profile type iptc", f"\niptc\n {len(block)}\n{block.hex()}", zip=True)
        info.add_text("Comment", "by Ann")
        info.add_text("parameters", "a prompt " * 500, zip=True)
        info.add_itxt("Title", "Портрет")
        options = {"pnginfo": info}
    return saved(image, kind, **options)


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "AVIF", "TIFF"])
def test_xmp_iptc_and_texts_are_kept_or_stripped(kind, suffix, depth):
    picture = images.decode_image(source(kind), "a")
    assert picture.size == (6, 9)  # turned by the XMP's orientation, if nothing else has one
    picture = images.Picture(**{**vars(picture), "rgb": images.to_depth(picture.rgb, DEPTHS[depth]), "alpha": None})
    again = images.decode_image(images.encode_image(picture, f".{suffix}"), "a")
    assert again.size == (6, 9) and b"Ann" in again.xmp and b'tiff:Orientation="6"' not in again.xmp
    if kind in ("PNG", "JPEG", "TIFF") and suffix in ("png", "jpg", "tiff"):
        assert again.iptc == IPTC
    if kind in ("PNG", "JPEG") and suffix in ("png", "jpg"):
        assert again.text["Comment"] == "by Ann"
    if kind == "PNG" and suffix == "png":
        assert again.text["parameters"] == "a prompt " * 500 and again.text["Title"] == "Портрет"
    bare = images.encode_image(picture, f".{suffix}", metadata=False)
    assert b"Ann" not in bare
    bare = images.decode_image(bare, "a")
    assert bare.xmp is None and bare.iptc is None and not bare.text


def test_long_texts_and_profiles_of_a_png_do_not_damage_it():
    info, text, icc = PngInfo(), "words " * 400_000, LIGHT + RANDOM.bytes(1_500_000)
    info.add_text("Comment", text, zip=True)
    data = saved(Image.fromarray(GREY), icc_profile=icc, pnginfo=info)
    with images.pillow_limits(images.MAX_PIXELS):
        picture = images.decode_image(data, "a")
        assert picture.text["Comment"] == text and picture.icc == icc
        for suffix in SUFFIXES:
            assert images.decode_image(images.encode_image(picture, f".{suffix}"), "a").size == (9, 6)
        bomb = with_chunk(saved(Image.fromarray(GREY)), b"zTXt", b"a\0\0" + zlib.compress(bytes(80 << 20), 1))
        with pytest.raises(UsageError, match="very long texts"):
            images.decode_image(bomb, "a")


def test_bigtiff_comes_out_in_every_format():
    tags = Image.Exif()
    tags[0x013B] = "Ann"
    for suffix in [*SUFFIXES, "bmp"]:
        image = rewritten(saved(Image.fromarray(RGB), "TIFF", big_tiff=True, exif=tags), suffix)
        assert image.size == (9, 6) and (suffix == "bmp" or image.getexif()[0x013B] == "Ann")
