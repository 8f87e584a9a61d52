"""DeepFashion's In-shop Clothes Retrieval benchmark: full-height photos of people, several of each garment."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from deformcli.errors import UsageError

from .files import list_place, open_place
from .sources import Pictures
from .splits import split_in_tenths

PARTITIONS = ("Eval/list_eval_partition.txt", "list_eval_partition.txt", "Anno/list_eval_partition.txt")
PLACES = ("Img", "", "Img/img.zip", "img.zip")
SOURCE = (
    "get the In-shop Clothes Retrieval Benchmark from mmlab.ie.cuhk.edu.hk/projects/DeepFashion.html (licence: "
    "non-commercial research), so that ROOT/Eval/list_eval_partition.txt and ROOT/Img/img (or img.zip) are there"
)


def open_deepfashion(root: str, split: str) -> Pictures:
    """Pictures of a split of the published partition, 256 x 256: "query" and "gallery" are the test split.

    Its items, the identities here, are in one split each; of those to train on, one in ten validates.

    Raises:
        UsageError: nothing there, or a partition file that is none.
    """
    partition = next((path for name in PARTITIONS if (path := Path(root) / name).is_file()), None)
    if partition is None:
        raise UsageError(f"{root}: no list_eval_partition.txt of DeepFashion there", SOURCE)
    rows = [columns for line in partition.read_text().splitlines() if len(columns := line.split()) == 3]
    rows = [(name, item) for name, item, status in rows if _split(item, status) == split]
    if not rows or any(".." in PurePosixPath(name).parts or name.startswith("/") for name, _ in rows):
        raise UsageError(f"{partition}: is no partition of DeepFashion's In-shop benchmark", SOURCE)
    names, items = zip(*rows, strict=True)
    for place in (Path(root) / name for name in PLACES):
        if not set(names).isdisjoint(list_place(place, below=names[0].partition("/")[0])):
            return open_place(place, names, items)
    raise UsageError(f"{root}: none of the pictures that {partition.name} names is there", SOURCE)


def _split(item: str, status: str) -> str:
    return split_in_tenths(item, 0) if status == "train" else "test" if status in ("query", "gallery") else ""
