"""DeepFashion's In-shop benchmark in its layout, with its partition file."""

from __future__ import annotations

from zipfile import ZipFile

import pytest

from deformcli.data.deepfashion import open_deepfashion
from deformcli.errors import UsageError

ROWS = [
    ("img/WOMEN/Dresses/id_00000003/02_1_front.jpg", "id_00000003", "train"),
    ("img/WOMEN/Dresses/id_00000003/02_2_side.jpg", "id_00000003", "train"),
    ("img/WOMEN/Dresses/id_00000002/02_1_front.jpg", "id_00000002", "train"),  # of the tenth that validates
    ("img/WOMEN/Dresses/id_00000002/02_2_side.jpg", "id_00000002", "train"),
    ("img/MEN/Denim/id_00000080/01_1_front.jpg", "id_00000080", "query"),
    ("img/MEN/Denim/id_00000080/01_3_back.jpg", "id_00000080", "gallery"),
]


@pytest.fixture
def root(tmp_path, make_picture):
    for seed, (name, *_) in enumerate(ROWS):
        make_picture(tmp_path / "Img" / name, 256, 256, seed)
    (tmp_path / "Eval").mkdir()
    head = f"{len(ROWS)}\nimage_name item_id evaluation_status\n"
    lines = (f"{name:<60} {item} {status}\n" for name, item, status in ROWS)
    (tmp_path / "Eval/list_eval_partition.txt").write_text(head + "".join(lines))
    return tmp_path


def test_published_split_by_garment(root):
    for split, rows in (("train", ROWS[:2]), ("validation", ROWS[2:4]), ("test", ROWS[4:])):
        pictures = open_deepfashion(str(root), split)
        assert len(pictures) == 2
        assert [pictures.name(index) for index in range(2)] == [str(root / "Img" / name) for name, *_ in rows]
        assert [pictures.identity(index) for index in range(2)] == [item for _, item, _ in rows]
        assert pictures.read(0).shape == (256, 256, 3)


def test_the_zip_serves_too(root):
    before = open_deepfashion(str(root), "test").read(1)
    with ZipFile(root / "Img/img.zip", "w") as archive:
        for name, *_ in ROWS:
            archive.write(root / "Img" / name, name)
            (root / "Img" / name).unlink()
    assert (open_deepfashion(str(root), "test").read(1) == before).all()


def test_what_is_no_deepfashion(root, tmp_path):
    with pytest.raises(UsageError, match=r"no list_eval_partition\.txt") as caught:
        open_deepfashion(str(tmp_path / "nowhere"), "train")
    assert "DeepFashion.html" in caught.value.remedy
    partition = root / "Eval/list_eval_partition.txt"
    for text in ("", "1\nimage_name item_id evaluation_status\n../../etc/x.jpg id_1 train\n"):
        partition.write_text(text)
        with pytest.raises(UsageError, match="no partition"):
            open_deepfashion(str(root), "train")
    partition.write_text("1\nimage_name item_id evaluation_status\nimg/gone.jpg id_1 train\n")
    with pytest.raises(UsageError, match="none of the pictures"):
        open_deepfashion(str(root), "train")
