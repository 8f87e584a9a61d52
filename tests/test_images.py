"""Real picture files, good and bad: what is read, what is written back, what is refused and how."""

from __future__ import annotations

import io
import os

import numpy as np
import pytest
import torch
from PIL import Image

from deformcli import files, images
from deformcli.errors import DeformError, NothingToDoError, UsageError

RANDOM = np.random.default_rng(0)
RGB = RANDOM.integers(0, 256, (6, 9, 3), dtype=np.uint8)
ALPHA = RANDOM.integers(0, 256, (6, 9), dtype=np.uint8)
GREY = RANDOM.integers(0, 256, (6, 9), dtype=np.uint8)
PROFILE = b"an ICC profile, carried and never read"
ORIENTATION, ARTIST = 0x0112, 0x013B


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[ORIENTATION], tags[ARTIST] = orientation, "Ann"
    return tags


@pytest.mark.parametrize("suffix", ["png", "webp", "bmp", "tiff"])
def test_lossless_formats_come_back_bit_for_bit(tmp_path, suffix):
    images.write_image(RGB, tmp_path / f"a.{suffix}")
    picture = images.read_image(tmp_path / f"a.{suffix}")
    assert np.array_equal(picture.rgb, RGB) and picture.alpha is None and picture.size == (9, 6)
    assert picture.format == files.WRITABLE[f".{suffix}"]


def test_jpeg_is_close_and_quality_counts(tmp_path):
    smooth = np.linspace(0, 255, 64 * 64 * 3).reshape(64, 64, 3).astype(np.uint8)
    for quality in (None, 20):
        images.write_image(smooth, tmp_path / f"{quality}.jpg", quality=quality)
    assert np.abs(images.read_image(tmp_path / "None.jpg").rgb.astype(int) - smooth).mean() < 2
    assert (tmp_path / "20.jpg").stat().st_size < (tmp_path / "None.jpg").stat().st_size


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "webp", "jpg"])
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


@pytest.mark.parametrize("suffix", ["png", "webp", "jpg", "tiff"])
def test_profile_is_carried_or_stripped(tmp_path, suffix):
    Image.fromarray(RGB).save(tmp_path / "a.png", icc_profile=PROFILE, exif=exif(1))
    picture = images.read_image(tmp_path / "a.png")
    images.write_image(picture, tmp_path / f"kept.{suffix}")
    images.write_image(picture, tmp_path / f"stripped.{suffix}", metadata=False)
    with Image.open(tmp_path / f"kept.{suffix}") as kept, Image.open(tmp_path / f"stripped.{suffix}") as stripped:
        assert kept.info["icc_profile"] == PROFILE and "icc_profile" not in stripped.info
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
    "16 bit grey": (png(Image.fromarray(GREY.astype(np.uint16) * 256)), "more than 8 bits"),
    "float": (png(Image.fromarray(GREY.astype(np.float32)), "TIFF"), "more than 8 bits"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is not a picture"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_file_is_a_usage_error(tmp_path, name):
    data, cause = BAD[name]
    (tmp_path / "bad.png").write_bytes(data)
    with pytest.raises(UsageError, match=cause) as caught:
        images.read_image(tmp_path / "bad.png")
    assert str(tmp_path / "bad.png") in caught.value.cause and caught.value.remedy


def test_16_bit_colour_is_refused(tmp_path):
    import cv2

    cv2.imwrite(str(tmp_path / "a.png"), RGB.astype(np.uint16) * 256)
    with pytest.raises(UsageError, match="more than 8 bits"):
        images.read_image(tmp_path / "a.png")


def test_no_such_file_and_a_folder(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        images.read_image(tmp_path / "gone.png")
    with pytest.raises(UsageError, match="cannot be read"):
        images.read_image(tmp_path)


def test_too_many_pixels_are_refused_from_the_header(tmp_path):
    images.write_image(RGB, tmp_path / "a.png")
    with pytest.raises(UsageError, match="9 x 6 pixels, more than 53"):
        images.read_image(tmp_path / "a.png", max_pixels=53)
    for side in (12_000, 20_000):  # beyond our limit, and beyond Pillow's
        Image.new("1", (side, side)).save(tmp_path / "bomb.png")
        with pytest.raises(UsageError, match=r"pixels|bomb"):
            images.read_image(tmp_path / "bomb.png")


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
    known = images.read_mask(tmp_path / "m.png", (9, 6))
    assert known.dtype == bool and np.array_equal(known, fill == 0)
    assert np.array_equal(images.read_mask(tmp_path / "m.png", (9, 6), invert=True), fill == 255)
    tensor = images.known_tensor(known)
    assert tensor.shape == (1, 1, 6, 9) and tensor.sum() == known.sum()


def test_mask_that_does_not_serve(tmp_path):
    images.write_image(np.zeros_like(RGB), tmp_path / "black.png")
    images.write_image(np.full_like(RGB, 255), tmp_path / "white.png")
    with pytest.raises(UsageError, match="is 9 x 6, the picture is 6 x 9"):
        images.read_mask(tmp_path / "black.png", (6, 9))
    with pytest.raises(NothingToDoError, match="nothing to fill"):
        images.read_mask(tmp_path / "black.png", (9, 6))
    with pytest.raises(UsageError, match="nothing to fill from"):
        images.read_mask(tmp_path / "white.png", (9, 6))


def test_real_photo_with_its_profile(shared, tmp_path):
    photo = next(path for path in sorted((shared / "data" / "portraits").rglob("*.jpg")))
    picture = images.read_image(photo)
    images.write_image(picture, tmp_path / "a.png")
    again = images.read_image(tmp_path / "a.png")
    assert np.array_equal(again.rgb, picture.rgb) and again.icc == picture.icc
