"""Real views in the layouts they come in: who is paired with whom, framing, landmark flow, and what has no target."""

from __future__ import annotations

import csv
import shutil

import cv2
import numpy as np
import pytest
import torch

from deformcli.data import found, labels
from deformcli.data.check import contact_sheet
from deformcli.data.files import read_picture
from deformcli.data.meshes import COLUMNS, write_meshes
from deformcli.data.pairs import FacePairs, flip
from deformcli.data.sources import Source
from deformcli.data.spec import open_source
from deformcli.data.splits import SPLITS, is_held_out, split_of
from deformcli.data.views import BOX
from deformcli.errors import UsageError
from deformcli.faces import Face, crop, eyes_and_mouth, square_around
from deformcli.faces.pose import canonical

PEOPLE = [f"{number:03d}" for number in range(1, 40)]
TEST = [who for who in PEOPLE if is_held_out(f"{who}.jpg")]
TRAIN = [who for who in PEOPLE if split_of(f"{who}.jpg") == "train"]
TAKES = {"left_profile": (-90, 1), "left_3quarter": (-42, 2), "front": (0, 3), "right_3quarter": (42, 4),
         "right_profile": (90, 5)}  # fmt: skip
SIDE = 160


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DEFORM_CACHE_DIR", str(tmp_path / "cache"))


def mesh(scale: float = 5.0, x: float = 80, y: float = 85) -> np.ndarray:
    """The canonical face from the front, in a picture of 160 pixels."""
    return canonical()[0] * scale * [1, -1, -1] + [x, y, 0]


def row(points: np.ndarray, yaw: float = 0.0, spread: float = 0.01) -> dict:
    low, high = points[:, :2].min(0), points[:, :2].max(0)
    five = points[[159, 386, 1, 61, 291], :2] - 0.5
    known = {"points": points, "box": [*low, *high], "eyes_mouth": five, "det_score": 1.0, "spread": spread}
    return {**{key: np.zeros(shape) for key, shape in COLUMNS.items()}, **known, "yaw_pitch_roll_2d": [yaw, 0, 0]}


@pytest.fixture
def london(tmp_path, make_picture):
    """The published layout: a person of each split, neutral and smiling, and one without frontal pictures."""
    rows = {}
    for shift, expression in ((0, "neutral"), (5, "smiling")):
        for side, (yaw, take) in TAKES.items():
            for who in (TRAIN[0], TEST[0], TRAIN[1])[: 2 if side == "front" else 3]:
                name = f"{expression}_{side}/{who}_{take + shift:02d}.jpg"
                make_picture(tmp_path / "london" / name, SIDE, SIDE, int(who) * 20 + take + shift)
                rows[name] = row(mesh(), yaw)
    (tmp_path / "london/neutral_front" / f"{TRAIN[0]}_03.tem").write_text("points")
    write_meshes(tmp_path / "london/facemesh.npz", rows)
    return tmp_path / "london"


def test_london_pairs_every_view_with_its_front(london):
    for split, who in (("train", TRAIN[0]), ("test", TEST[0])):
        data = open_source(f"london:{london}", split).data
        assert len(data) == 10 and len(data.pictures) == 10
        assert {data.identity(index) for index in range(10)} == {who}
        assert set(data.pictures.identities) == {who}
        assert sorted(view.yaw for view in data.views) == sorted(2 * [-90, -42, 0, 42, 90])
        for view in data.views:
            expression, _, side = view.turned.parent.name.partition("_")
            assert view.yaw == TAKES[side][0]
            assert view.frontal.parent.name == f"{expression}_front" and view.frontal.name[:3] == view.turned.name[:3]
    data = open_source(f"london:{london}", "train").data
    data.limit_yaw(45)
    assert len(data) == 6


def test_london_made_of_links(london, tmp_path):
    (tmp_path / "links").mkdir()
    for folder in london.iterdir():
        (tmp_path / "links" / folder.name).symlink_to(folder)
    assert len(open_source(f"london:{tmp_path}/links", "test").data) == 10


def test_people_of_the_three_splits(tmp_path, make_picture, views):
    """Of both kinds: nobody is in two splits, everybody is in one."""
    for who in PEOPLE:
        for name in ("neutral_front/{}_03.jpg", "neutral_left_profile/{}_01.jpg"):
            make_picture(tmp_path / "london" / name.format(who), 8, 8)
    for spec in (f"london:{tmp_path}/london", views([(f"{who}_01.png", f"{who}_03.png", 30) for who in PEOPLE])):
        people = [{view.person for view in open_source(spec, split).data.views} for split in SPLITS]
        assert all(people) and people[2] == set(TEST)
        assert sorted(who for some in people for who in some) == PEOPLE
    with pytest.raises(UsageError, match="no option 'validation'"):
        open_source(f"london:{tmp_path}/london?validation=yes", "train")


def test_the_project_s_held_out_people():
    held_out = [f"{n:03d}" for n in range(1, 174) if is_held_out(f"{n:03d}.jpg")]
    assert {"008", "018", "044", "114", "119", "122", "132", "143"} <= set(held_out)


def test_what_is_not_there_says_where_it_comes_from(tmp_path):
    for kind, words in (("london", "DeBruine and Jones 2017, CC BY 4.0"), ("fairface", "CC BY 4.0")):
        with pytest.raises(UsageError) as caught:
            open_source(f"{kind}:{tmp_path}", "train")
        assert words in caught.value.remedy and "ROOT" in caught.value.remedy
    with pytest.raises(UsageError, match=r"no views\.csv there"):
        open_source(f"views:{tmp_path}", "train")


@pytest.fixture
def views(tmp_path, make_picture):
    """`views(rows, ...)` writes a table of pairs, pictures and meshes; frontal photos in a folder beside."""

    def write(rows, columns=("file", "frontal", "yaw"), spread=0.01):
        root, beside = tmp_path / "views", tmp_path / "fronts"
        root.mkdir()
        for turned, frontal, *_ in rows:
            make_picture(root / turned, SIDE, SIDE, 1)
            make_picture(beside / frontal, SIDE, SIDE, 2)
        with (root / "views.csv").open("w", newline="") as file:
            csv.writer(file).writerows([columns, *rows])
        write_meshes(root / "facemesh.npz", {turned: row(mesh(4.5, 75, 80), spread=spread) for turned, *_ in rows})
        write_meshes(beside / "facemesh.npz", {frontal: row(mesh()) for _, frontal, *_ in rows})
        return f"views:{root}?frontal={beside}"

    return write


def test_frames_are_the_command_s_and_the_mesh_s(views, tmp_path):
    yunet = [40, 30, 70, 90, 60, 65, 92, 65, 76, 80, 62, 100, 90, 100, 0.9]
    name = f"{TRAIN[0]}_01.png"
    spec = views([(name, f"{TRAIN[0]}_03.png", 30, *yunet)], ("file", "frontal", "yaw", *BOX))
    pair = open_source(spec, "train").data.pair(0, 96, None)
    face = Face(40, 30, 110, 30 + 0.98 * 90, 0.9, np.reshape(yunet[4:14], (5, 2)))
    wanted = crop(read_picture(tmp_path / "views" / name), square_around(face), 96)
    assert np.abs((pair.image.permute(1, 2, 0).numpy() + 1) * 127.5 - wanted).max() < 0.01
    assert pair.yaw == 30
    assert pair.sparse
    assert 0.3 < pair.face.mean() < 0.95 and pair.face[0, 48, 48] > 0.99


def test_the_frontal_crop_has_eyes_and_mouth_in_their_places(views):
    """By the flow: where the turned landmarks go is where the mesh has them in a frontal crop."""
    pair = open_source(views([(f"{TRAIN[0]}_01.png", f"{TRAIN[0]}_03.png", 30)]), "train").data.pair(0, 128, None)
    y, x = np.nonzero(pair.seen[0].numpy())
    assert 250 < len(y) <= 468
    goals = np.column_stack([x, y]) + pair.flow[:, y, x].T.numpy() + 0.5
    left, right, mouth = eyes_and_mouth(mesh())
    scale = 42 / (mouth[1] - left[1])
    points = (mesh()[:, :2] - (left + right) / 2) * scale + [64, 128 * 0.33]
    nearest = np.abs(goals[:, None] - points[None]).max(2).min(1)
    assert nearest.max() < 0.6  # landmarks are at whole pixels in the input
    assert (pair.flow * (1 - pair.seen) == 0).all()


def test_meshes_that_are_unsound_give_no_flow_nor_profiles(views):
    who = TRAIN[0]
    spec = views([(f"{who}_01.png", f"{who}_03.png", 40)], spread=0.2)
    item = FacePairs([Source("views", open_source(spec, "train").data)], 64, "test", 0)[0]
    assert (item["exact"], item["seen"].max(), item["target_known"].min()) == (0, 0, 1)
    data = open_source(spec, "train").data
    data.views = [data.views[0]._replace(yaw=90.0)]
    assert data.pair(0, 64, None).flow is None


def test_items_of_sparse_flow(views):
    who = TRAIN[0]
    source = Source("views", open_source(views([(f"{who}_01.png", f"{who}_03.png", 30)]), "train").data)
    data = FacePairs([source], 64, "train", 3, 8)
    items = [data[index] for index in range(8)]
    assert {float(item["exact"]) for item in items} == {0.0}
    assert all(100 < item["seen"].sum() < 468 for item in items)
    assert len({float(item["image"].mean()) for item in items}) == 8  # jittered, lit, degraded
    pair = source.data.pair(0, 64, None)
    assert torch.equal(flip(pair).flow[0], -pair.flow[0].flip(-1)) and flip(pair).sparse


def test_people_are_named_by_column_or_file(views):
    rows = [
        (f"a{n}.png", f"{who}_03.png", 20, other) for n, (who, other) in enumerate(zip(TRAIN[:3], "xyz", strict=True))
    ]
    data = open_source(views(rows, ("file", "frontal", "yaw", "person")), "train").data
    assert {data.identity(index) for index in range(len(data))} == {o for o in "xyz" if split_of(f"{o}.jpg") == "train"}


@pytest.mark.parametrize("text", ["file,frontal\na.png,b.png\n", "file,frontal,yaw\na.png,b.png,left\n"])
def test_damaged_tables_are_refused(tmp_path, text):
    (tmp_path / "views.csv").write_text(text)
    with pytest.raises(UsageError, match=r"views\.csv: damaged, or without a column"):
        open_source(f"views:{tmp_path}", "train")


def test_faces_and_meshes_are_found_once(tmp_path, monkeypatch):
    """Of photos that nobody has looked at: by MTCNN and FaceMesh, and the next time by the cache."""
    from skimage.data import astronaut

    path = tmp_path / "a.png"
    cv2.imwrite(str(path), astronaut()[:256, 96:352, ::-1])
    first = found.FoundFaces([tmp_path])
    face, points = first.face(path), first.mesh(path)
    assert points.sound and face.left < points.points[1, 0] < face.right
    for name in ("_found", "_meshed"):
        monkeypatch.setattr(found, name, lambda *_: pytest.fail("looked again"))
    shutil.copy(path, tmp_path / "copy.png")
    again = found.FoundFaces([tmp_path])
    assert np.array_equal(again.face(tmp_path / "copy.png").box, face.box)
    assert np.array_equal(again.mesh(tmp_path / "copy.png").points, points.points)


def test_photos_without_a_face_are_refused(tmp_path):
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((64, 64, 3), 128, np.uint8))
    for _ in range(2):  # found, remembered
        with pytest.raises(UsageError, match="no face found"):
            found.FoundFaces([tmp_path]).face(tmp_path / "grey.png")
    with pytest.raises(UsageError, match="cannot be read"):
        found.FoundFaces([tmp_path]).face(tmp_path / "nowhere.png")


@pytest.fixture
def fairface(tmp_path, make_picture):
    """The published layout: of each split two near-frontal faces, two turned ones, and one of each of a minor."""
    root, rows, labels = tmp_path / "fairface", {}, {"train": [], "val": []}
    numbers = iter(range(1, 400))
    for split in ("train", "test"):
        for yaw, age in (
            (3, "20-29"),
            (-8, "50-59"),
            (4, "3-9"),
            (35, "30-39"),
            (-50, "20-29"),
            (40, "10-19"),
            (18, "20-29"),
        ):
            name = next(f"train/{n}.jpg" for n in numbers if split_of(f"{n}.jpg") == split)
            make_picture(root / name, SIDE, SIDE, len(rows))
            rows[name] = row(mesh(), yaw)
            labels["train"].append((name, age, "Female", "Indian", "True"))
    for part, lines in labels.items():
        with (root / f"fairface_label_{part}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("file", "age", "gender", "race", "service_test"), *lines])
    write_meshes(root / "facemesh.npz", rows)
    return root


def test_fairface_near_frontal(fairface):
    for split in ("train", "test"):
        data = open_source(f"fairface:{fairface}", split).data
        assert len(data.photos) == len(data.pictures) == 2
        assert data.pair(0, 32, None).flow is not None


def test_fairface_items_have_the_labels_of_their_photo(fairface):
    items = FacePairs([open_source(f"fairface:{fairface}", "test")], 32, "test", 0)
    ages = [items.labels(int(items[index]["item"]))["age"] for index in range(len(items))]
    assert ages == ["20-29"] * 10 + ["50-59"] * 10, "ten views of each photo"
    assert items.labels(0)["race"] == "Indian"


def test_ages_that_a_spreadsheet_took_for_dates_are_no_adults(fairface):
    before = [view.turned for view in open_source(f"fairface:{fairface}?view=turned", "train").data.views]
    table = fairface / "fairface_label_train.csv"
    text = table.read_text().replace("3-9", "03-Sep").replace("10-19", "Oct-19")
    (fairface / "labels.csv").write_text(text)
    table.unlink()
    labels._rows.cache_clear()
    assert len(open_source(f"fairface:{fairface}", "train").data.photos) == 2
    assert [view.turned for view in open_source(f"fairface:{fairface}?view=turned", "train").data.views] == before


def test_fairface_turned_has_no_target(fairface):
    source = open_source(f"fairface:{fairface}?view=turned", "train")
    assert sorted(view.yaw for view in source.data.views) == [-50, 35]
    item = FacePairs([source], 32, "train", 0, 4)[1]
    assert (item["target_known"].max(), item["exact"], item["seen"].max()) == (0, 0, 0)
    assert item["image"].std() > 0.05
    test = open_source(f"fairface:{fairface}?view=turned", "test")
    assert (len(test.data), len(test.data.pictures)) == (0, 2)
    assert contact_sheet([source, test]).shape[0] == 260
    with pytest.raises(UsageError, match="no protocol 'side'"):
        open_source(f"fairface:{fairface}?view=side", "train")


@pytest.mark.parametrize("kind", ["views", "rotated"])
def test_transparent_pixels_of_a_frontal_photo_are_unknown(views, tmp_path, kind):
    spec = views([(f"{TRAIN[0]}_01.png", f"{TRAIN[0]}_03.png", 30)])
    photo = tmp_path / "fronts" / f"{TRAIN[0]}_03.png"
    opaque = read_picture(photo)
    alpha = np.full((SIDE, SIDE, 1), 255, np.uint8)
    alpha[: SIDE // 2] = 0
    cv2.imwrite(str(photo), np.dstack([opaque[..., ::-1], alpha]))
    pair = open_source(spec if kind == "views" else f"rotated:{photo.parent}", "train").data.pair(0, 64, None)
    assert pair.image.shape == pair.target.shape == (3, 64, 64)
    assert pair.known.shape == (1, 64, 64)
    assert (pair.known[:, 0] == 0).all() and (pair.known[:, -1] == 1).all()
    assert set(pair.known.unique().tolist()) == {0, 1}
