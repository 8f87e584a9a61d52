"""HEIC and JPEG XL with the extras for them and without, and JPEGs that are cut off."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest
from PIL import Image

from deformcli import images
from deformcli.errors import MissingExtraError, UsageError

RAMP = np.linspace(0, 255, 64 * 48).reshape(48, 64).astype(np.uint8)
RGB = np.dstack([RAMP, RAMP[::-1], RAMP[:, ::-1]])


def heic(image: Image.Image, **options) -> bytes:
    return _saved(pytest.importorskip("pillow_heif").register_heif_opener, image, "HEIF", **options)


def jxl(image: Image.Image, **options) -> bytes:
    pytest.importorskip("pillow_jxl")
    return _saved(lambda: None, image, "JXL", **options)


def _saved(register, image: Image.Image, kind: str, **options) -> bytes:
    register()
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def artist() -> Image.Exif:
    tags = Image.Exif()
    tags[0x013B] = "Ann"
    return tags


@pytest.mark.parametrize("make", [heic, jxl])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_pictures_of_the_extras(tmp_path, make, mode):
    given = Image.fromarray(RGB).convert(mode)
    (tmp_path / "a").write_bytes(make(given, quality=100, lossless=True, exif=artist().tobytes()))
    picture = images.read_image(tmp_path / "a")
    assert np.abs(picture.rgb.astype(int) - np.array(given.convert("RGB"))).max() <= 8
    assert (picture.alpha is None) == (mode != "RGBA") and b"Ann" in picture.exif
    images.write_image(picture, tmp_path / "b.png")
    assert np.array_equal(images.read_image(tmp_path / "b.png").rgb, picture.rgb)


def test_16_bits_of_jpeg_xl():
    levels = RAMP.astype(np.uint16) * 200
    picture = images.decode_image(jxl(Image.fromarray(levels), lossless=True), "a")
    assert picture.grey and np.array_equal(picture.rgb[..., 0], levels)


def test_colours_of_heic_without_a_profile():
    """Pillow's plugin writes no profile, but says what the colours are; those of HDR are refused."""
    image = Image.fromarray(RGB)
    wide = {"color_primaries": 12, "transfer_characteristics": 13}
    assert images.decode_image(heic(image, save_nclx_profile=True, nclx_profile=_nclx(image, **wide)), "a").icc
    assert images.decode_image(heic(image), "a").icc is None
    with pytest.raises(UsageError, match="HDR"):
        images.decode_image(heic(image, nclx_profile=_nclx(image, transfer_characteristics=16)), "a")


def _nclx(image: Image.Image, **changed) -> dict:
    own = Image.open(io.BytesIO(heic(image))).info["nclx_profile"]
    return own | changed


def test_jpeg_in_jpeg_xl_is_turned_upright_once(tmp_path):
    tags = artist()
    tags[0x0112] = 6
    Image.fromarray(RGB).save(tmp_path / "a.jpg", exif=tags)
    with Image.open(tmp_path / "a.jpg") as image:
        data = jxl(image, lossless_jpeg=True)
    picture, same = images.decode_image(data, "a"), images.read_image(tmp_path / "a.jpg")
    assert np.array_equal(picture.rgb, same.rgb) and picture.size == (48, 64)
    turned = jxl(Image.fromarray(RGB), lossless=True, exif=tags.tobytes())  # a decoder heeds the codestream alone
    assert images.decode_image(turned, "a").size == (64, 48)


HEADS = {"HEIC": b"\0\0\0\x18ftypheic" + bytes(40), "JPEG XL": b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(40)}


@pytest.mark.parametrize(
    ("title", "extra", "module"), [("HEIC", "heic", "pillow_heif"), ("JPEG XL", "jxl", "pillow_jxl")]
)
def test_without_the_extra(monkeypatch, title, extra, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=f"a is {title}") as caught:
        images.decode_image(HEADS[title], "a")
    assert caught.value.remedy == f"pip install 'deformcli[{extra}]'" and caught.value.exit_code == 2


@pytest.mark.parametrize("title", HEADS)
def test_damaged_files_of_the_extras(title):
    pytest.importorskip("pillow_heif"), pytest.importorskip("pillow_jxl")
    with pytest.raises(UsageError, match="a is "):
        images.decode_image(HEADS[title], "a")


def photo(**options) -> bytes:
    out = io.BytesIO()
    noise = np.random.default_rng(0).normal(0, 12, (256, 320, 3))
    pixels = (np.linspace(40, 200, 320)[None, :, None] + noise).clip(0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(out, "JPEG", quality=90, **options)
    return out.getvalue()


@pytest.mark.parametrize("share", [0.3, 0.5, 0.8])
def test_jpeg_that_is_cut_off_is_refused_or_kept(share):
    whole = images.decode_image(photo(), "a")
    data = photo()[: int(len(photo()) * share)]
    with pytest.raises(UsageError, match="is damaged"):
        images.decode_image(data, "a")
    picture = images.decode_image(data, "a", truncated=True)
    (note,) = picture.notes
    missing = int(note.partition(" %")[0].rpartition(" ")[2]) / 100
    assert abs(missing - (1 - share)) < 0.1
    there = int((1 - missing) * 256) - 18
    assert picture.size == whole.size and np.array_equal(picture.rgb[:there], whole.rgb[:there])


def test_cut_off_jpegs_at_every_place():
    """Also between the passes of a progressive one; where not even a header is left, it is refused."""
    kept = 0
    for options in ({}, {"progressive": True}, {"exif": artist()}):
        data = photo(**options)
        for end in range(2, len(data) - 2, len(data) // 40):
            try:
                picture = images.decode_image(data[:end], "a", truncated=True)
            except UsageError as error:
                assert end < 1200 and error.remedy
            else:
                kept += 1
                assert picture.size == (320, 256) and "cut off" in picture.notes[0]
    assert kept > 100
    for end in range(0, 1200, 7):
        with pytest.raises(UsageError):
            images.decode_image(photo()[: min(end, 600)], "a", truncated=True)


def test_whole_jpeg_has_no_note():
    assert not images.decode_image(photo(), "a", truncated=True).notes
