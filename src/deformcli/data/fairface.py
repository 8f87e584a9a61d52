"""FairFace: faces from everyday photos, balanced over groups; one picture a person, none of them in pairs."""

from __future__ import annotations

from pathlib import Path

from deformcli.errors import UsageError

from .found import FoundFaces
from .labels import labels_of
from .meshes import MESHES, read_meshes
from .rotated import USABLE, RotatedPhotos
from .splits import check_protocol, split_of
from .views import View, Views

KINDS = ("frontal", "turned")
LEAST, MOST = 25, 60  # degrees of yaw of turned faces, by meshes, which stop turning at about 50
ADULTS = ("20-29", "30-39", "40-49", "50-59", "60-69", "more than 70")  # others may be spelt by a spreadsheet: "Oct-19"
SOURCE = (
    "get FairFace (Karkkainen and Joo 2021, CC BY 4.0) from github.com/joojs/fairface, so that ROOT has train/1.jpg, "
    "val/1.jpg, fairface_label_train.csv and fairface_label_val.csv, and run deform data mesh ROOT"
)


def open_fairface(root: str, split: str, *, view: str = "frontal") -> RotatedPhotos | Views:
    """Faces of adults, by their meshes: near-frontal ones turned in 2.5D, or turned ones without a frontal picture.

    Turned ones are for training alone: their other splits have no pair.

    Raises:
        UsageError: no such view, or no meshes or fitting faces there.
    """
    check_protocol("fairface", view, KINDS)
    folder = Path(root)
    if not (folder / MESHES).is_file():
        raise UsageError(f"{root}: no FairFace with its {MESHES} there", SOURCE)
    if view == "frontal":
        return RotatedPhotos(root, split, _is_adult)
    views = []
    for name, row in read_meshes(folder / MESHES).items():
        yaw = float(row["yaw_pitch_roll_2d"][0])  # type: ignore[index]
        adult, turned = _is_adult(folder / name), LEAST <= abs(yaw) <= MOST and row["spread"] < USABLE
        if adult and turned and split_of(name) == split:
            views.append(View(folder / name, None, name, yaw))
    if not views:
        raise UsageError(f"{root}: no turned face for the {split} split", "add photos, and run deform data mesh again")
    found = Views(views, FoundFaces([folder]))
    if split != "train":
        found.views = []  # their pictures alone: there is nothing to measure against
    return found


def _is_adult(path: Path) -> bool:
    """Whether the labels say so of who is in a picture, or there are none."""
    return labels_of(path).get("age", ADULTS[0]) in ADULTS
