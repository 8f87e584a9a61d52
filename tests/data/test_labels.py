"""Tables of labels that lie with the pictures."""

from __future__ import annotations

import pytest

from deformcli.data.labels import labels_of
from deformcli.errors import UsageError


@pytest.mark.parametrize("name", ["labels.csv", "fairface_label_train.csv", "fairface_label_val.csv"])
@pytest.mark.parametrize(("place", "file"), [("", "in/a.jpg"), ("in", "a.jpg")])
def test_a_table_lies_beside_the_picture_or_in_the_folder_above(tmp_path, name, place, file):
    (tmp_path / "in").mkdir()
    (tmp_path / place / name).write_text(f"\ufefffile,age,race\n{file},20-29,Indian\nother.jpg,3-9\n", "utf-8")
    assert labels_of(tmp_path / "in" / "a.jpg") == {"age": "20-29", "race": "Indian"}
    assert labels_of(tmp_path / place / "other.jpg") == {"age": "3-9", "race": ""}
    assert labels_of(tmp_path / "in" / "b.jpg") == {}


@pytest.mark.parametrize(
    "content", [b"name,age\na.jpg,20-29\n", b"file,age\na.jpg,\xff\xfe\n", b"file\n" + b"a" * 200_000]
)
def test_what_is_no_table_is_refused_by_name(tmp_path, content):
    (tmp_path / "labels.csv").write_bytes(content)
    with pytest.raises(UsageError, match=r"labels\.csv: no table of labels"):
        labels_of(tmp_path / "a.jpg")
