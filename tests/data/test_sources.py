"""Pictures from files, several sources as one, and pictures that cannot be read."""

from __future__ import annotations

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from deformcli.data.files import Files, read_picture
from deformcli.data.folder import open_folder, picture_files
from deformcli.data.sources import MOST_SKIPPED, Mixture, Source
from deformcli.errors import UsageError
from deformcli.images import Picture
from deformcli.images.deep import encode_png

BARE = Picture(np.zeros((1, 1, 3), np.uint8))


@pytest.fixture
def folder(tmp_path, names, make_picture):
    """Four pictures of each split, of several shapes, one in a folder below, beside other files."""
    for split in ("train", "test"):
        for seed, name in enumerate(names[split]):
            make_picture(tmp_path / "data" / name, 40 + 10 * seed, 70, seed)
    (tmp_path / "data/below").mkdir()
    (tmp_path / "data" / names["train"][0]).rename(tmp_path / "data/below" / names["train"][0])
    (tmp_path / "data/notes.txt").write_text("no picture")
    return tmp_path / "data"


def test_splits_share_out_all_pictures_of_a_folder(folder, names):
    found = {split: [path.name for path in open_folder(str(folder), split).paths] for split in names}
    assert {split: sorted(files) for split, files in found.items()} == names


@pytest.mark.parametrize("name", ["._x.png", ".x.jpg"])
def test_hidden_files_are_no_data(folder, name):
    before = picture_files(folder)
    (folder / name).write_bytes(b"what a file manager leaves behind")
    assert picture_files(folder) == before == sorted(before)


def test_no_folder_and_no_pictures(tmp_path, names, make_picture):
    with pytest.raises(UsageError, match="no such data folder"):
        open_folder(str(tmp_path / "nowhere"), "train")
    with pytest.raises(UsageError, match="no picture for the train split"):
        open_folder(str(tmp_path), "train")
    make_picture(tmp_path / names["train"][0])
    with pytest.raises(UsageError, match="no picture for the test split"):
        open_folder(str(tmp_path), "test")


def test_reads_png_and_jpeg(tmp_path, make_picture):
    picture = make_picture(tmp_path / "a.png")
    assert (read_picture(tmp_path / "a.png") == picture).all()
    make_picture(tmp_path / "b.jpg")
    assert np.abs(read_picture(tmp_path / "b.jpg").astype(int) - picture).mean() < 4


def test_reads_grey_and_turned_files_as_upright_rgb(tmp_path):
    grey = np.arange(60, dtype=np.uint8).reshape(6, 10)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    assert (read_picture(tmp_path / "grey.png") == grey[..., None]).all()
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    Image.fromarray(np.dstack([grey] * 3)).save(tmp_path / "turned.jpg", exif=exif)
    assert read_picture(tmp_path / "turned.jpg").shape == (10, 6, 3)


@pytest.mark.parametrize(("alpha", "channels"), [(255, 3), (0, 4), (200, 4)])
def test_transparency_is_read_where_there_is_some(tmp_path, alpha, channels):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 10, 4), np.uint8)
    pixels[..., 3] = 255
    pixels[2, 3, 3] = alpha
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert (read_picture(tmp_path / "a.png") == pixels[..., :channels]).all()


HOLE = np.zeros((6, 10), bool)
HOLE[2, 3] = True


def with_hole(kind: str) -> tuple[str, bytes]:
    """A picture with one transparent pixel, as files of that kind have it: the file's suffix and bytes."""
    rng, alpha = np.random.default_rng(0), np.where(HOLE, 0, 255).astype(np.uint8)
    rgb, grey = rng.integers(1, 256, (6, 10, 3), np.uint8), rng.integers(1, 256, (6, 10), np.uint8)
    rgb[HOLE], grey[HOLE] = 0, 0  # a colour that no other pixel has
    file = io.BytesIO()
    match kind:
        case "RGBA" | "RGBA tiff" | "RGBA webp":
            suffix = kind.removeprefix("RGBA").strip() or "png"
            Image.fromarray(np.dstack([rgb, alpha])).save(file, suffix, lossless=True)
            return suffix, file.getvalue()
        case "grey and alpha":
            Image.fromarray(np.dstack([grey, alpha])).save(file, "png")
        case "palette":
            picture = Image.fromarray(np.where(HOLE, 0, 1).astype(np.uint8), "P")
            picture.putpalette([0, 0, 0, 200, 100, 50])
            picture.save(file, "png", transparency=0)
        case "a transparent colour":
            Image.fromarray(rgb).save(file, "png", transparency=(0, 0, 0))
        case "a transparent grey":
            Image.fromarray(grey).save(file, "png", transparency=0)
        case "16 bits":
            return "png", encode_png(np.dstack([rgb, alpha]).astype(np.uint16) * 257, BARE)
        case "16 bits, grey and alpha":
            return "png", encode_png(np.dstack([grey, alpha]).astype(np.uint16) * 257, BARE)
        case "16 bits, a transparent colour":
            return "png", with_chunk(encode_png(rgb.astype(np.uint16) * 257, BARE), b"tRNS", bytes(6))
        case "16 bits, a transparent grey":
            return "png", with_chunk(encode_png(grey[..., None].astype(np.uint16) * 257, BARE), b"tRNS", bytes(2))
    return "png", file.getvalue()


def with_chunk(png: bytes, kind: bytes, body: bytes) -> bytes:
    at = png.index(b"IDAT") - 4
    return png[:at] + struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) + png[at:]


KINDS = ["RGBA", "RGBA tiff", "RGBA webp", "grey and alpha", "palette", "a transparent colour", "a transparent grey"]
KINDS += ["16 bits", "16 bits, grey and alpha", "16 bits, a transparent colour", "16 bits, a transparent grey"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_transparency_is_read(tmp_path, kind):
    suffix, data = with_hole(kind)
    (tmp_path / f"a.{suffix}").write_bytes(data)
    picture = read_picture(tmp_path / f"a.{suffix}")
    assert (picture.shape, picture.dtype) == ((6, 10, 4), np.uint8)
    assert ((picture[..., 3] < 255) == HOLE).all()


def test_pictures_of_16_bits_are_read_with_8(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 10, 3), np.uint16) * 257
    cv2.imwrite(str(tmp_path / "a.png"), pixels[..., ::-1])
    assert (read_picture(tmp_path / "a.png") == pixels // 257).all()


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n"])
def test_undecodable_file_is_named(tmp_path, content):
    (tmp_path / "bad.png").write_bytes(content)
    with pytest.raises(UsageError, match=r"bad\.png is (not a picture|damaged)"):
        read_picture(tmp_path / "bad.png")


def test_missing_file_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"gone\.png cannot be read"):
        read_picture(tmp_path / "gone.png")


def mixture(*parts: tuple[int, float | None]) -> Mixture:
    """Of sources with so many pictures and such shares."""
    sources = [Source(str(number), Files([None] * count), share) for number, (count, share) in enumerate(parts)]
    return Mixture(sources, [source.data for source in sources])


def test_items_are_counted_through():
    several = mixture((2, None), (1, None), (3, None))
    assert len(several) == 6
    assert [several.place(index) for index in range(6)] == [(0, 0), (0, 1), (1, 0), (2, 0), (2, 1), (2, 2)]


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([(30, None), (10, None)], [0.75, 0.25]),
        ([(10, None), (10_000, 0.2)], [0.8, 0.2]),
        ([(10, None), (30, None), (7, 0.5)], [0.125, 0.375, 0.5]),
        ([(10, 0.3), (10, 0.1)], [0.75, 0.25]),
        ([(10, 0.2)], [1.0]),
    ],
)
def test_sources_are_drawn_by_their_shares(parts, expected):
    several, rng = mixture(*parts), np.random.default_rng(0)
    drawn = [several.draw(rng) for _ in range(4000)]
    assert np.bincount([part for part, _ in drawn]) / 4000 == pytest.approx(expected, abs=0.03)
    assert all(number < parts[part][0] for part, number in drawn)
    assert {number for part, number in drawn if part == 0} == set(range(parts[0][0]))


def test_shares_that_leave_nothing_for_others():
    with pytest.raises(UsageError, match=r"shares of 1\.2 leave nothing"):
        mixture((10, 0.6), (10, 0.6), (10, None))


def test_the_next_picture_stands_in_for_one_that_cannot_be_read(tmp_path, make_picture, capfd):
    pictures = [make_picture(tmp_path / f"{number}.png", seed=number) for number in range(3)]
    (tmp_path / "2.png").write_bytes(b"damaged")
    files = Files([tmp_path / f"{number}.png" for number in range(3)])
    one = Mixture([Source("here", files)], [files])
    assert (one.read(0, 1, files.read) == pictures[1]).all()
    assert capfd.readouterr().err == ""
    assert (one.read(0, 2, files.read) == pictures[0]).all()
    said = capfd.readouterr().err
    assert "2.png is not a picture" in said
    assert "1 skipped" in said
    one.read(0, 2, files.read)
    assert capfd.readouterr().err == ""  # named once, counted every time
    assert one.skipped.value == 2


class Numbers(Dataset):
    """Items of a mixture, as the processes that prepare data read them."""

    def __init__(self, several: Mixture) -> None:
        self.several = several

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> int:
        return int(self.several.read(0, index % 2, self.several.parts[0].read).mean())


def test_processes_that_prepare_data_count_together(tmp_path, make_picture):
    make_picture(tmp_path / "0.png")
    (tmp_path / "1.png").write_bytes(b"damaged")
    files = Files([tmp_path / "0.png", tmp_path / "1.png"])
    several = Mixture([Source("here", files)], [files])
    assert len(list(DataLoader(Numbers(several), num_workers=2))) == 8
    assert several.skipped.value == 4


def test_data_without_end_of_damage_are_given_up(tmp_path):
    files = Files([tmp_path / f"{number}.png" for number in range(MOST_SKIPPED + 5)])
    with pytest.raises(UsageError, match=f"{MOST_SKIPPED - 1}.png cannot be read"):
        Mixture([Source("here", files)], [files]).read(0, 0, files.read)
