"""The many ways in which a TIFF stores its samples: each is read right, or refused by its name."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from deformcli import images
from deformcli.errors import UsageError

RANDOM = np.random.default_rng(0)
KINDS = {"u": 1, "i": 2, "f": 3}


def tiff(samples, bits, colours=None, **more) -> bytes:
    """The bytes of an uncompressed TIFF of samples (H, W, C): `kind` of numpy, `extra` channels, `planes`."""
    height, width, count = samples.shape
    kind, extra, planes = more.get("kind", "u"), more.get("extra"), more.get("planes", 1)
    strip = samples.astype(f"<{kind}{bits // 8}").tobytes() if bits in (8, 16, 32, 64) else packed(samples, bits)
    tags = {256: [width], 257: [height], 258: [bits] * count, 259: [1], 262: [(count > 1 and 2) or 1]}
    tags |= {273: [0], 277: [count], 278: [height], 279: [len(strip)], 284: [planes], 339: [KINDS[kind]] * count}
    if colours is not None:
        tags[262] = [colours]
    if extra is not None:
        tags[338] = list(extra)
    values, table = b"", b""
    start = 8 + 2 + 12 * len(tags) + 4
    tags[273] = [start + sum(4 * len(value) for value in tags.values() if len(value) > 1)]
    for tag, value in sorted(tags.items()):
        body = struct.pack(f"<{len(value)}I", *value)
        table += struct.pack("<HHI", tag, 4, len(value))
        table += body if len(value) == 1 else struct.pack("<I", start + len(values))
        values += body if len(value) > 1 else b""
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + table + bytes(4) + values + strip


def packed(samples: np.ndarray, bits: int) -> bytes:
    """Rows of whole bytes."""
    rows = ((samples.reshape(len(samples), -1, 1) >> np.arange(bits)[::-1]) & 1).reshape(len(samples), -1)
    return np.packbits(rows.astype(np.uint8), axis=1).tobytes()


def levels(bits: int, count: int) -> np.ndarray:
    samples = RANDOM.integers(0, 2**bits, (6, 9, count))
    samples[0, :2] = [[2**bits - 1], [0]]
    return samples


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("bits", [1, 2, 4, 6, 8, 10, 12, 14, 16, 24, 32])
def test_depth_is_read_right_or_refused_by_its_name(bits, count):
    samples = levels(bits, count)
    try:
        picture = images.decode_image(tiff(samples, bits), "a")
    except UsageError as error:
        assert f"TIFF of {count} channel" in error.cause and f"{bits} bits" in error.cause
        assert "8 or 16 bits" in error.remedy
        assert (bits, count) not in {(1, 1), (4, 1), (8, 1), (8, 3), (16, 1), (16, 3)}
    else:
        white = np.iinfo(picture.rgb.dtype).max
        assert np.abs(picture.rgb[..., :count] / white - samples / (2**bits - 1)).max() < 1 / white
        assert (picture.rgb.dtype == np.uint16) == (bits > 8)


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize(
    ("kind", "bits", "words"),
    [("i", 8, "signed"), ("i", 16, "signed"), ("f", 16, "floating"), ("f", 32, "floating"), ("f", 64, "floating")],
)
def test_samples_that_are_no_whole_numbers_from_0(kind, bits, words, count):
    with pytest.raises(UsageError, match=f"{bits} bits, {words}") as caught:
        images.decode_image(tiff(levels(7, count), bits, kind=kind), "a")
    assert "whole numbers from 0" in caught.value.remedy


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("extra", [None, (0,), (1,), (2,)])
def test_fourth_channel_is_alpha_if_the_file_says_so(bits, extra):
    samples, white = levels(bits, 4), 2**bits - 1
    samples[..., 3] |= 1 << (bits - 2)
    stored = samples.copy()
    if extra == (1,):  # multiplied in
        stored[..., :3] = (samples[..., :3] * (samples[..., 3:] / white)).round()
    picture = images.decode_image(tiff(stored, bits, extra=extra), "a")
    assert np.abs(picture.rgb - samples[..., :3]).max() <= (3 if extra == (1,) else 0)
    if extra == (0,):
        assert picture.alpha is None and "left out" in picture.notes[0]
    else:
        assert np.array_equal(picture.alpha, samples[..., 3]) and not picture.notes


@pytest.mark.parametrize("extra", [(0,), (1,), (2,)])
def test_grey_with_a_second_channel(extra):
    samples = levels(8, 2) | 0x40
    stored = samples.copy()
    if extra == (1,):
        stored[..., 0] = (samples[..., 0] * (samples[..., 1] / 255)).round()
    picture = images.decode_image(tiff(stored, 8, 1, extra=extra), "a")
    assert picture.grey and np.abs(picture.rgb[..., 0] - samples[..., 0].astype(int)).max() <= 3 * (extra == (1,))
    assert picture.alpha is None if extra == (0,) else np.array_equal(picture.alpha, samples[..., 1])
    with pytest.raises(UsageError, match="2 channels of 16 bits"):
        images.decode_image(tiff(levels(16, 2), 16, 1, extra=extra), "a")


def test_scanners_whose_least_is_white():
    samples = levels(16, 1)
    picture = images.decode_image(tiff(samples, 16, 0), "a")
    assert picture.grey and np.array_equal(picture.rgb[..., :1], 65535 - samples)


def test_planes_of_16_bits_are_refused():
    with pytest.raises(UsageError, match="in planes of their own"):
        images.decode_image(tiff(levels(16, 3), 16, planes=2), "a")


@pytest.mark.parametrize("colours", [5, 6, 8])
def test_16_bits_of_other_colours_are_refused(colours):
    with pytest.raises(UsageError, match="16 bits"):
        images.decode_image(tiff(levels(16, 4 if colours == 5 else 3), 16, colours), "a")
