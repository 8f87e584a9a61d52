"""Real picture files, good and bad: what is read, what is written back, what is refused and how."""

from __future__ import annotations

import io
import os
import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from deformcli import images
from deformcli.errors import DeformError, UsageError
from deformcli.images import formats
from deformcli.images.deep import encode_tiff

RANDOM = np.random.default_rng(0)
RGB = RANDOM.integers(0, 256, (6, 9, 3), dtype=np.uint8)
ALPHA = RANDOM.integers(0, 256, (6, 9), dtype=np.uint8)
GREY = RANDOM.integers(0, 256, (6, 9), dtype=np.uint8)
SRGB = PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
ORIENTATION, ARTIST = 0x0112, 0x013B


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[ORIENTATION], tags[ARTIST] = orientation, "Ann"
    return tags


@pytest.mark.parametrize("suffix", ["png", "webp", "bmp", "tiff", "tif"])
def test_lossless_formats_come_back_bit_for_bit(tmp_path, suffix):
    images.write_image(RGB, tmp_path / f"a.{suffix}")
    picture = images.read_image(tmp_path / f"a.{suffix}")
    assert np.array_equal(picture.rgb, RGB) and picture.alpha is None and picture.size == (9, 6)
    assert picture.format == formats.WRITABLE[f".{suffix}"]


def test_jpeg_is_close_and_quality_counts(tmp_path):
    smooth = np.linspace(0, 255, 64 * 64 * 3).reshape(64, 64, 3).astype(np.uint8)
    for quality in (None, 20):
        images.write_image(smooth, tmp_path / f"{quality}.jpg", quality=quality)
    assert np.abs(images.read_image(tmp_path / "None.jpg").rgb.astype(int) - smooth).mean() < 2
    assert (tmp_path / "20.jpg").stat().st_size < (tmp_path / "None.jpg").stat().st_size


@pytest.mark.parametrize(("suffix", "default"), [(".jpg", 95), (".avif", 90)])
def test_more_quality_is_nearer_to_the_picture(suffix, default):
    """Also of colours that change from pixel to pixel."""
    colourful = np.linspace(0, 255, 64 * 64 * 3).reshape(64, 64, 3).astype(np.uint8)
    colourful[:, ::5, 0] = 255 - colourful[:, ::5, 0]

    def error(quality):
        data = images.encode_image(images.Picture(colourful), suffix, quality=quality)
        return ((images.decode_image(data, "a").rgb.astype(float) - colourful) ** 2).mean()

    errors = [error(quality) for quality in (50, 80, 89, 90, 93, 96, 100)]
    assert errors == sorted(errors, reverse=True) and errors[3] < errors[2] / 4
    assert error(None) == error(default)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "webp", "jpg", "avif"])
def test_orientation_is_applied_once(tmp_path, orientation, suffix):
    upright = np.zeros((8, 16, 3), np.uint8)
    upright[:, 8:] = 255  # dark on the left, light on the right
    undo = {2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}
    stored = Image.fromarray(upright)
    if orientation > 1:
        methods = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}  # Pillow's Transpose that shows an orientation upright
        stored = stored.transpose(Image.Transpose(methods[undo[orientation]]))
    stored.save(tmp_path / f"a.{suffix}", exif=exif(orientation), quality=95)
    picture = images.read_image(tmp_path / f"a.{suffix}")
    assert picture.size == (16, 8)
    assert np.abs(picture.rgb.astype(int) - upright).max() < 8
    images.write_image(picture, tmp_path / f"b.{suffix}")
    with Image.open(tmp_path / f"b.{suffix}") as written:
        assert written.size == (16, 8)
        assert written.getexif().get(ORIENTATION, 1) == 1 and written.getexif()[ARTIST] == "Ann"


@pytest.mark.parametrize("suffix", ["png", "webp", "tiff"])
def test_alpha_is_carried_with_the_colours_under_it(tmp_path, suffix):
    Image.fromarray(np.dstack([RGB, ALPHA])).save(tmp_path / "a.png")
    images.write_image(images.read_image(tmp_path / "a.png"), tmp_path / f"b.{suffix}")
    assert np.array_equal(np.array(Image.open(tmp_path / f"b.{suffix}")), np.dstack([RGB, ALPHA]))


@pytest.mark.parametrize("name", ["grey", "grey with alpha", "one bit"])
def test_grey_stays_grey_bit_for_bit(tmp_path, name):
    image = Image.fromarray(GREY)
    if name == "grey with alpha":
        image.putalpha(Image.fromarray(ALPHA))
    if name == "one bit":
        image = image.convert("1")
    image.save(tmp_path / "a.png")
    picture = images.read_image(tmp_path / "a.png")
    assert picture.grey and picture.rgb.shape == (6, 9, 3)
    images.write_image(picture, tmp_path / "b.png")
    with Image.open(tmp_path / "b.png") as written:
        assert written.mode == ("LA" if name == "grey with alpha" else "L")
        assert np.array_equal(np.array(written), np.array(image.convert(written.mode)))


@pytest.mark.parametrize("suffix", ["png", "gif"])
def test_palette_with_transparency(tmp_path, suffix):
    image = Image.fromarray(RGB).quantize(8)
    image.save(tmp_path / f"a.{suffix}", transparency=3)
    picture = images.read_image(tmp_path / f"a.{suffix}")
    assert np.array_equal(picture.alpha == 0, np.array(image) == 3)


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("count", [1, 3])
def test_one_colour_of_a_png_is_transparent(depth, count):
    levels = RANDOM.integers(0, 2**depth, (6, 9, count))
    levels[2, 3] = 77
    rows = b"".join(b"\0" + row.astype(f">u{depth // 8}").tobytes() for row in levels)
    kind = {1: 0, 3: 2}[count]
    chunks = {b"IHDR": struct.pack(">IIBBBBB", 9, 6, depth, kind, 0, 0, 0), b"tRNS": struct.pack(">H", 77) * count}
    chunks |= {b"IDAT": zlib.compress(rows), b"IEND": b""}
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks.items()
    )
    picture = images.decode_image(data, "a")
    assert np.array_equal(picture.alpha == 0, (levels == 77).all(axis=2)) and picture.grey == (count == 1)
    assert np.array_equal(picture.rgb[..., :count], levels)


@pytest.mark.parametrize("suffix", ["png", "webp", "jpg", "tiff", "avif"])
def test_profile_stays_and_exif_is_carried_or_stripped(tmp_path, suffix):
    Image.fromarray(RGB).save(tmp_path / "a.png", icc_profile=PROFILE, exif=exif(1))
    picture = images.read_image(tmp_path / "a.png")
    images.write_image(picture, tmp_path / f"kept.{suffix}")
    images.write_image(picture, tmp_path / f"stripped.{suffix}", metadata=False)
    with Image.open(tmp_path / f"kept.{suffix}") as kept, Image.open(tmp_path / f"stripped.{suffix}") as stripped:
        assert kept.info["icc_profile"] == stripped.info["icc_profile"] == PROFILE
        assert kept.getexif()[ARTIST] == "Ann" and ARTIST not in stripped.getexif()


def test_cmyk_loses_the_profile_that_no_longer_fits(tmp_path):
    Image.fromarray(RGB).convert("CMYK").save(tmp_path / "a.jpg", icc_profile=PROFILE)
    picture = images.read_image(tmp_path / "a.jpg")
    assert picture.icc is None and picture.rgb.shape == (6, 9, 3)


def test_phone_photo_with_a_second_picture_behind_it(tmp_path):
    first = Image.fromarray(RGB)
    first.save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[Image.new("RGB", (3, 3))])
    picture = images.read_image(tmp_path / "a.jpg")
    assert picture.size == (9, 6) and picture.format == "JPEG"


def png(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


FRAMES = {"save_all": True, "append_images": [Image.new("RGB", (9, 6), "red")]}
BAD = {
    "text": (b"hello", "is not a picture"),
    "empty": (b"", "is not a picture"),
    "truncated png": (png(Image.fromarray(RANDOM.integers(0, 256, (64, 64, 3), dtype=np.uint8)))[:5000], "is damaged"),
    "truncated jpeg": (png(Image.effect_noise((64, 64), 90), "JPEG")[:900], "is damaged"),
    "truncated webp": (png(Image.effect_noise((64, 64), 90).convert("RGB"), "WEBP")[:300], "is "),
    "damaged png": (png(Image.fromarray(RGB)).replace(b"IDATx", b"IDATy"), "is damaged"),
    "nameless png": (png(Image.fromarray(RGB)).replace(b"IDAT", b"IDAX"), "is not a picture"),
    "animated gif": (png(Image.fromarray(RGB), "GIF", **FRAMES), "2 frames"),
    "animated webp": (png(Image.fromarray(RGB), "WEBP", **FRAMES), "2 frames"),
    "animated png": (png(Image.fromarray(RGB), "PNG", **FRAMES), "2 frames"),
    "float": (b"Pf\n3 2\n-1\n" + bytes(24), "floating-point samples"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is not a picture"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_file_is_a_usage_error(tmp_path, name):
    data, cause = BAD[name]
    (tmp_path / "bad.png").write_bytes(data)
    with pytest.raises(UsageError, match=cause) as caught:
        images.read_image(tmp_path / "bad.png")
    assert str(tmp_path / "bad.png") in caught.value.cause and caught.value.remedy


DEEP = RANDOM.integers(0, 65536, (6, 9, 4), dtype=np.uint16)
DEEP_PICTURES = {
    "rgb": images.Picture(DEEP[..., :3]),
    "rgba": images.Picture(DEEP[..., :3], DEEP[..., 3]),
    "grey": images.Picture(DEEP[..., :1].repeat(3, 2), grey=True),
    "grey with alpha": images.Picture(DEEP[..., :1].repeat(3, 2), DEEP[..., 3], grey=True),
}


@pytest.mark.parametrize("suffix", ["png", "tiff"])
@pytest.mark.parametrize("name", DEEP_PICTURES)
def test_16_bits_come_back_bit_for_bit(tmp_path, suffix, name):
    profile = None if DEEP_PICTURES[name].grey else SRGB
    written = replace(DEEP_PICTURES[name], icc=profile, exif=exif(1).tobytes())
    images.write_image(written, tmp_path / f"a.{suffix}")
    picture = images.read_image(tmp_path / f"a.{suffix}")
    assert picture.rgb.dtype == np.uint16 and np.array_equal(picture.rgb, written.rgb)
    assert (written.alpha is None and picture.alpha is None) or np.array_equal(picture.alpha, written.alpha)
    assert picture.grey == (written.grey and (suffix, name) != ("tiff", "grey with alpha"))
    assert picture.icc == profile
    with Image.open(tmp_path / f"a.{suffix}") as image:
        image.load()
        assert image.getexif()[ARTIST] == "Ann"


@pytest.mark.parametrize("name", ["rgb", "grey"])
def test_16_bits_of_other_programs(tmp_path, name):
    import cv2

    written = DEEP_PICTURES[name]
    pixels = written.rgb[..., 0] if written.grey else written.rgb[..., ::-1]
    for suffix in ("png", "tiff", "pgm" if written.grey else "ppm"):
        cv2.imwrite(str(tmp_path / f"a.{suffix}"), np.ascontiguousarray(pixels))
        picture = images.read_image(tmp_path / f"a.{suffix}")
        assert np.array_equal(picture.rgb, written.rgb) and picture.grey == written.grey


@pytest.mark.parametrize("most", [256, 1023, 4095, 65535])
@pytest.mark.parametrize("magic", ["P2", "P3", "P5", "P6"])
def test_netpbm_of_any_depth_is_as_light_as_it_says(most, magic):
    samples = RANDOM.integers(0, most + 1, (6, 9, 1 if magic in ("P2", "P5") else 3))
    samples[0, :2] = [[most], [0]]
    plain = "# said by some\n" + " ".join(map(str, samples.ravel()))
    body = plain.encode() if magic in ("P2", "P3") else samples.astype(">u2").tobytes()
    data = f"{magic}\n9 6\n{most}\n".encode() + body
    picture = images.decode_image(data, "a")
    assert picture.rgb.dtype == np.uint16 and picture.grey == (samples.shape[2] == 1)
    assert np.abs(picture.rgb / 65535 - samples / most).max() < 1 / 65535
    with pytest.raises(UsageError, match="is damaged"):
        images.decode_image(data[: len(data) // 2], "a")


@pytest.mark.parametrize("suffix", ["png", "jpg", "tiff", "bmp"])
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_dots_per_inch_stay(tmp_path, suffix, depth):
    Image.fromarray(RGB).save(tmp_path / "a.png", dpi=(600, 600))
    picture = images.read_image(tmp_path / "a.png")
    images.write_image(replace(picture, rgb=images.to_depth(RGB, depth)), tmp_path / f"b.{suffix}", metadata=False)
    assert images.read_image(tmp_path / f"b.{suffix}").dpi == pytest.approx((600, 600), rel=0.001)
    assert picture.resized_to(RGB[:3]).dpi is None


def test_16_bits_become_8_where_the_format_has_no_more(tmp_path):
    images.write_image(DEEP_PICTURES["rgba"], tmp_path / "a.webp")
    picture = images.read_image(tmp_path / "a.webp")
    assert np.abs(picture.rgb * 257.0 - DEEP[..., :3]).max() <= 129
    every = np.arange(256, dtype=np.uint8)
    assert np.array_equal(images.to_depth(images.to_depth(every, np.uint16), np.uint8), every)


def test_16_bit_pixels_elsewhere_stay_bit_for_bit():
    where = np.zeros((6, 9), bool)
    where[2, 3] = True
    picture = DEEP_PICTURES["rgba"]
    painted = picture.painted(images.to_tensor(picture).neg(), where)
    assert np.array_equal(painted.rgb[~where], picture.rgb[~where]) and painted.rgb.dtype == np.uint16
    assert np.array_equal(painted.rgb[2, 3], 65535 - picture.rgb[2, 3])
    assert np.array_equal(images.to_pixels(images.to_tensor(picture), np.uint16), picture.rgb)
    assert painted.replaced(np.full((6, 9, 3), 255, np.uint8)).rgb.min() == 65535


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("depth", ["8", "16"])
def test_orientation_of_a_tiff(tmp_path, orientation, depth):
    """The tag is put where the file says that its channels lie side by side."""
    pixels = DEEP_PICTURES["rgb"].rgb
    data = encode_tiff(pixels, images.Picture(pixels))
    at = data.index(struct.pack("<HHI", 284, 3, 1))
    tag = struct.pack("<HHIHH", 274, 3, 1, orientation, 0)
    data = data[:at] + tag + data[at + len(tag) :]
    if depth == "8":
        stored = Image.fromarray(images.to_depth(pixels, np.uint8))
        stored.save(tmp_path / "a.tiff", exif=exif(orientation))
        data = (tmp_path / "a.tiff").read_bytes()
    picture = images.decode_image(data, "a")
    corner = {1: (0, 0), 2: (0, -1), 3: (-1, -1), 4: (-1, 0), 5: (0, 0), 6: (-1, 0), 7: (-1, -1), 8: (0, -1)}
    assert picture.size == ((9, 6) if orientation < 5 else (6, 9))
    assert np.array_equal(picture.rgb8[0, 0], images.to_depth(pixels, np.uint8)[corner[orientation]])


def test_tags_of_a_tiff_that_are_about_the_picture(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "a.tiff", exif=exif(1), dpi=(300, 300))
    images.write_image(images.read_image(tmp_path / "a.tiff"), tmp_path / "b.jpg")
    with Image.open(tmp_path / "b.jpg") as image:
        assert dict(image.getexif()) == {ARTIST: "Ann"}


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "avif", "tiff"])
def test_place_of_a_photo_is_kept_or_stripped(tmp_path, suffix, depth):
    tags = exif(6)
    tags.get_ifd(0x8825)[1] = "N"
    Image.fromarray(RGB).save(tmp_path / "a.jpg", exif=tags)
    picture = images.read_image(tmp_path / "a.jpg")
    picture = replace(picture, rgb=images.to_depth(picture.rgb, depth))
    for metadata in (True, False):
        images.write_image(picture, tmp_path / f"b.{suffix}", metadata=metadata)
        with Image.open(tmp_path / f"b.{suffix}") as image:
            image.load()
            assert dict(image.getexif().get_ifd(0x8825)) == ({1: "N"} if metadata else {})
            assert bool(image.info.get("exif")) == (metadata and suffix != "tiff")


def test_damaged_exif_is_left_behind(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "a.jpg", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    with images.pillow_limits(formats.MAX_PIXELS):  # and Pillow does not talk about it
        picture = images.read_image(tmp_path / "a.jpg")
    images.write_image(picture, tmp_path / "b.jpg")
    assert images.read_image(tmp_path / "b.jpg").size == (9, 6)


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "WEBP", "PNG"])
def test_frame_of_several(kind):
    pages = [Image.new("RGB", (9, 6), colour) for colour in ("red", "lime", "blue")]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = png(pages[0], kind, save_all=True, append_images=pages[1:], **options)
    for number, colour in enumerate([(255, 0, 0), (0, 255, 0), (0, 0, 255)], 1):
        assert tuple(images.decode_image(data, "a", frame=number).rgb[3, 4]) == colour
    with pytest.raises(UsageError, match="no frame 4: it has 3"):
        images.decode_image(data, "a", frame=4)
    with pytest.raises(UsageError, match="animated or has pages: 3 frames") as caught:
        images.decode_image(data, "a")
    assert "--frame" in caught.value.remedy


def test_width_that_looks_like_16_bits(tmp_path):
    Image.new("RGB", (5, 4)).save(tmp_path / "a.bmp")  # rows of 16 bytes
    assert images.read_image(tmp_path / "a.bmp").size == (5, 4)


def wide_gamut() -> bytes:
    """The profile of sRGB with the primaries of a wider space."""
    data = bytearray(SRGB)
    for number in range(struct.unpack(">I", data[128:132])[0]):
        name, start, _ = struct.unpack(">4sII", data[132 + 12 * number : 144 + 12 * number])
        if name in (primaries := {b"rXYZ": (0.61, 0.311, 0.019), b"gXYZ": (0.205, 0.626, 0.061)}):
            data[start + 8 : start + 20] = struct.pack(">3i", *(round(65536 * x) for x in primaries[name]))
    return bytes(data)


def lab(image: Image.Image, profile: bytes) -> np.ndarray:
    """What the pixels look like: (H, W, 3) CIELAB."""
    own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    seen = ImageCms.profileToProfile(image.convert("RGB"), own, ImageCms.createProfile("LAB"), outputMode="LAB")
    return np.dstack([np.asarray(seen)[..., :1], np.asarray(seen)[..., 1:].view(np.int8)]).astype(float)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_wide_gamut_comes_out_looking_the_same(tmp_path, suffix):
    """Colours that sRGB does not have, through a network that changes nothing."""
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 90, 255], [128, 128, 128]], np.uint8)
    image = Image.fromarray(colours[None].repeat(32, 0).repeat(16, 1))
    image.save(tmp_path / "a.png", icc_profile=wide_gamut())
    picture = images.read_image(tmp_path / "a.png")
    images.write_image(picture.painted(images.to_tensor(picture)), tmp_path / f"b.{suffix}")
    before = lab(image, wide_gamut())
    with Image.open(tmp_path / f"b.{suffix}") as after:
        assert np.abs(before - lab(after, after.info["icc_profile"])).mean() < 1.5
        assert np.abs(before - lab(after, SRGB)).mean() > 5  # without its profile, it would not


@pytest.mark.parametrize("mode", ["CMYK", "LAB"])
def test_colours_that_are_no_rgb_look_the_same(tmp_path, mode):
    grey = Image.new("RGB", (8, 8), (200, 60, 60))
    if mode == "LAB":
        to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
        stored = ImageCms.applyTransform(grey, to_lab)
    else:
        stored = grey.convert("CMYK")
    stored.save(tmp_path / "a.tiff")
    assert np.abs(images.read_image(tmp_path / "a.tiff").rgb.astype(int) - [200, 60, 60]).max() <= 3


def test_pillow_gives_way_to_our_limit_and_gets_its_own_back(tmp_path, monkeypatch):
    images.write_image(RGB, tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    with pytest.raises(UsageError, match="too many pixels"):
        images.read_image(tmp_path / "a.png")
    with images.pillow_limits(54):
        assert images.read_image(tmp_path / "a.png", max_pixels=54).size == (9, 6)
    assert Image.MAX_IMAGE_PIXELS == 20


def test_no_such_file_and_a_folder(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        images.read_image(tmp_path / "gone.png")
    with pytest.raises(UsageError, match="cannot be read"):
        images.read_image(tmp_path)


def test_too_many_pixels_are_refused_from_the_header(tmp_path):
    images.write_image(RGB, tmp_path / "a.png")
    with pytest.raises(UsageError, match="9 x 6 pixels, more than 53"):
        images.read_image(tmp_path / "a.png", max_pixels=53)
    for side in (14_000, 20_000):  # beyond our limit, and far beyond
        Image.new("1", (side, side)).save(tmp_path / "bomb.png")
        words = f"{side} x {side} pixels, more than 178,956,970"
        with images.pillow_limits(formats.MAX_PIXELS), pytest.raises(UsageError, match=words) as caught:
            images.read_image(tmp_path / "bomb.png")
        assert "--max-pixels" in caught.value.remedy


def test_write_leaves_nothing_behind_when_it_fails(tmp_path, monkeypatch):
    (tmp_path / "old.png").write_bytes(b"old")

    def full(*args):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(DeformError, match="No space left"):
            images.write_image(RGB, tmp_path / "old.png")
    (tmp_path / "file").write_text("")
    with pytest.raises(DeformError, match="cannot be written"):
        images.write_image(RGB, tmp_path / "file" / "a.png")
    with pytest.raises(UsageError, match="suffix"):
        images.write_image(RGB, tmp_path / "a.xyz")
    with pytest.raises(UsageError, match="do not fit JPEG"):
        images.write_image(np.zeros((1, 70_000, 3), np.uint8), tmp_path / "wide.jpg")
    with pytest.raises(UsageError, match="no transparency"):
        images.write_image(images.Picture(RGB, alpha=ALPHA), tmp_path / "a.jpg")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "old.png"]
    assert (tmp_path / "old.png").read_bytes() == b"old"


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_written_file_has_usual_permissions_and_an_opaque_alpha_fits_jpeg(tmp_path):
    (tmp_path / "usual").write_text("")
    opaque = images.Picture(RGB, alpha=np.full((6, 9), 255, np.uint8))
    images.write_image(opaque, tmp_path / "new" / "a.jpg")
    assert (tmp_path / "new" / "a.jpg").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_replaced_keeps_every_other_pixel():
    picture = images.Picture(RGB, alpha=ALPHA, icc=PROFILE)
    where = np.zeros((6, 9), bool)
    where[2, 3] = True
    new = picture.replaced(255 - RGB, where)
    assert np.array_equal(new.rgb[~where], RGB[~where]) and np.array_equal(new.rgb[2, 3], 255 - RGB[2, 3])
    assert new.icc == PROFILE and new.alpha is ALPHA and new.rgb.dtype == np.uint8
    assert picture.resized_to(RGB[:3]).size == (9, 3)


def test_numbers_and_back_are_exact():
    every = np.arange(256, dtype=np.uint8).reshape(2, 2, 64)
    image = images.dequantize(torch.from_numpy(every))
    assert image.dtype == torch.float32 and (image.min(), image.max()) == (-1, 1)
    assert np.array_equal(images.quantize(image), every)
    assert images.quantize(torch.tensor([-9.0, 9.0, 0.0])).tolist() == [0, 255, 128]
    assert np.array_equal(images.from_unit(images.to_unit(every)), every)
    assert images.from_unit(np.array([-1, 0.5, 2])).tolist() == [0, 128, 255]


def test_tensor_and_back_is_exact():
    every = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    tensor = images.to_tensor(every)
    assert tensor.shape == (1, 3, 16, 16) and tensor.dtype == torch.float32
    assert (tensor.min(), tensor.max()) == (-1, 1)
    assert np.array_equal(images.to_uint8(tensor), every)
    assert np.array_equal(images.to_uint8(tensor[0].double()), every)
    assert images.to_uint8(torch.tensor([-9.0, 9.0, 0.0]).reshape(3, 1, 1)).tolist() == [[[0, 255, 128]]]
    for shape in [(2, 3, 4, 4), (1, 1, 4, 4), (3, 4)]:
        with pytest.raises(ValueError, match="image: expected"):
            images.to_uint8(torch.zeros(shape))


@pytest.mark.parametrize("mode", ["L", "1", "RGB", "RGBA", "P"])
def test_mask_white_is_fill(tmp_path, mode):
    fill = np.zeros((6, 9), np.uint8)
    fill[1:3, 4:8] = 255
    Image.fromarray(fill).convert(mode).save(tmp_path / "m.png")
    mask = images.read_image(tmp_path / "m.png")
    weights, notes = images.mask_weights(mask)
    assert np.array_equal(weights, fill) and not notes
    assert np.array_equal(images.mask_known(mask), fill == 0)
    assert np.array_equal(images.mask_known(mask, invert=True), fill == 255)


def test_real_photo_with_its_profile(shared, tmp_path):
    photo = next(path for path in sorted((shared / "data" / "portraits").rglob("*.jpg")))
    picture = images.read_image(photo)
    images.write_image(picture, tmp_path / "a.png")
    again = images.read_image(tmp_path / "a.png")
    assert np.array_equal(again.rgb, picture.rgb) and again.icc == picture.icc
