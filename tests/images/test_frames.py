"""Animations and files of several pages: read whole, and written with the times of their frames."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from deformcli import images
from deformcli.errors import UsageError
from deformcli.images.formats import ANIMATED

COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
DURATIONS = [100, 200, 350]
SUFFIXES = {"GIF": ".gif", "PNG": ".png", "WEBP": ".webp", "AVIF": ".avif", "TIFF": ".tiff"}


def animation(kind: str, mode: str = "RGB", **options) -> bytes:
    frames = [Image.new("RGB", (20, 16), colour).convert(mode) for colour in COLOURS]
    for number, frame in enumerate(frames):
        if mode == "RGBA":
            frame.putalpha(Image.new("L", (20, 16), 255))
            frame.paste((0, 0, 0, 0), (number, 0, number + 4, 4))
    out = io.BytesIO()
    options |= {"lossless": True, "quality": 100} if kind in ("WEBP", "AVIF") else {}
    options |= {} if kind == "TIFF" else {"duration": DURATIONS, "loop": 3}
    frames[0].save(out, kind, save_all=True, append_images=frames[1:], **options)
    return out.getvalue()


def colours(pictures) -> np.ndarray:
    return np.array([picture.rgb8[10, 10] for picture in pictures]).astype(int)


@pytest.mark.parametrize("to", SUFFIXES)
@pytest.mark.parametrize("kind", ANIMATED)
def test_animation_comes_out_as_it_went_in(kind, to):
    pictures = images.decode_frames(animation(kind), "a")
    assert np.abs(colours(pictures) - COLOURS).max() <= 3 * (kind == "AVIF")
    assert [picture.duration for picture in pictures] == DURATIONS and images.can_hold(pictures, SUFFIXES[to])
    again = images.decode_frames(images.encode_frames(pictures, SUFFIXES[to]), "a")
    assert np.abs(colours(again) - COLOURS).max() <= 6 * ("AVIF" in (kind, to))
    if to != "TIFF":
        assert [picture.duration for picture in again] == DURATIONS
    if "AVIF" not in (kind, to) and to != "TIFF":
        assert again[0].loop == 3


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_transparent_parts_do_not_show_the_frame_before(kind):
    options = {"disposal": 2} if kind == "GIF" else {}
    pictures = images.decode_frames(animation(kind, "RGBA", **options), "a")
    again = images.decode_frames(images.encode_frames(pictures, SUFFIXES[kind]), "a")
    for before, after in zip(pictures, again, strict=True):
        assert np.array_equal(before.alpha, after.alpha) and 0 < (before.alpha == 0).sum() < 50
        assert np.array_equal(before.rgb[before.alpha > 0], after.rgb[before.alpha > 0])


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_pages_keep_their_own_size_depth_and_alpha(depth):
    random, exif = np.random.default_rng(0), Image.Exif()
    exif[0x013B] = "Ann"
    exif.get_ifd(0x8769)[0x9286] = b"ASCII\0\0\0words"
    pages = []
    for number, count in enumerate((3, 4, 1)):
        pixels = random.integers(0, np.iinfo(depth).max + 1, (6 + number, 9, 4), depth)
        grey = count == 1
        rgb = pixels[..., :1].repeat(3, 2) if grey else pixels[..., :3]
        alpha = pixels[..., 3] if count == 4 else None
        pages.append(images.Picture(rgb, alpha, grey, exif=exif.tobytes(), dpi=(300, 300)))
    again = images.decode_frames(images.encode_frames(pages, ".tif"), "a")
    for before, after in zip(pages, again, strict=True):
        assert np.array_equal(before.rgb, after.rgb) and before.grey == after.grey and after.dpi == (300, 300)
        assert (before.alpha is None and after.alpha is None) or np.array_equal(before.alpha, after.alpha)
    assert b"Ann" in again[0].exif and again[1].exif is None
    assert not images.can_hold(pages, ".png") and not images.can_hold(pages, ".jpg")


def test_gif_of_few_colours_comes_out_bit_for_bit():
    few = np.random.default_rng(0).integers(0, 256, (200, 3), dtype=np.uint8)
    indices = np.random.default_rng(1).integers(0, 200, (2, 40, 40))
    frames = [images.Picture(few[index], duration=50) for index in indices]
    again = images.decode_frames(images.encode_frames(frames, ".gif"), "a")
    assert all(np.array_equal(before.rgb, after.rgb) for before, after in zip(frames, again, strict=True))


def test_frames_are_turned_upright_all_of_them():
    exif = Image.Exif()
    exif[0x0112] = 6
    for picture in images.decode_frames(animation("PNG", exif=exif), "a"):
        assert picture.size == (16, 20)


def test_one_frame_and_photos_of_phones_are_one():
    out = io.BytesIO()
    Image.new("RGB", (9, 6)).save(out, "MPO", save_all=True, append_images=[Image.new("RGB", (3, 3))])
    for data in (out.getvalue(), images.encode_image(images.Picture(np.zeros((6, 9, 3), np.uint8)), ".png")):
        (picture,) = images.decode_frames(data, "a")
        assert picture.size == (9, 6) and picture.duration is None
    fallback = images.decode_frames(animation("PNG", default_image=True), "a")
    assert len(fallback) == 2


def test_too_many_pixels_in_all_of_them():
    with pytest.raises(UsageError, match="3 frames of 20 x 16 pixels, more than 900") as caught:
        images.decode_frames(animation("GIF"), "a", max_pixels=900)
    assert "--max-pixels" in caught.value.remedy


def test_gif_is_for_frames_alone():
    picture = images.Picture(np.zeros((6, 9, 3), np.uint8))
    with pytest.raises(UsageError, match="suffix"):
        images.encode_image(picture, ".gif")
    assert images.decode_image(images.encode_frames([replace(picture, duration=10)], ".gif"), "a").size == (9, 6)
