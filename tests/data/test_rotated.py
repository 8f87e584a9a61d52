"""Turned photos: the flow is exact, the frames are those of a detector, and a seed decides an item."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from deformcli.data import turning
from deformcli.data.files import read_picture
from deformcli.data.pairs import FacePairs, flip
from deformcli.data.rotated import RotatedPhotos
from deformcli.data.sources import Pair, Source
from deformcli.data.turning import CROP, Head, lay_out, make_pair, turn
from deformcli.errors import UsageError
from deformcli.faces import EYES, eyes_and_mouth
from deformcli.warp import forward_warp

PHOTOS = ("london/neutral_front/008_03.jpg", "portraits/A000367.jpg")


@pytest.fixture(scope="module", params=PHOTOS)
def head(request, shared) -> Head:
    root, _, name = request.param.partition("/")
    data = np.load(shared / "data" / root / "facemesh.npz", allow_pickle=False)
    points = data["points"][list(map(str, data["name"])).index(name)].astype(np.float64)
    return lay_out(read_picture(shared / "data" / root / name), points)


def moved(pair: Pair) -> tuple[torch.Tensor, torch.Tensor]:
    """The input warped by the true flow where it is exact, and where that lands on the face of the target."""
    flow = pair.flow.where(pair.seen > 0, torch.nan)  # what is not seen is dropped
    warped, coverage = forward_warp(pair.image[None], flow[None])
    return warped[0], (coverage[0, 0] > 0.3) & (pair.face[0] > 0.5)


@pytest.mark.parametrize(("yaw", "most", "least_covered"), [(15, 0.02, 0.85), (-15, 0.02, 0.85), (45, 0.03, 0.55)])
def test_the_flow_turns_the_input_into_the_target(head, yaw, most, least_covered):
    pair = make_pair(head, yaw, 0, 0, 128, None)
    warped, landed = moved(pair)
    face = pair.face[0] > 0.5
    error = (warped - pair.target).abs().mean(0)[landed].mean()
    copied = (pair.image - pair.target).abs().mean(0)[face].mean()
    assert error < most
    assert error < copied / 8
    assert landed.sum() / face.sum() > least_covered


def test_pitch_and_roll_are_in_the_flow_too(head):
    pair = make_pair(head, 20, 10, -12, 128, np.random.default_rng(0))
    warped, landed = moved(pair)
    assert (warped - pair.target).abs().mean(0)[landed].mean() < 0.025


def test_small_pictures_carry_the_flow_of_large_ones(head):
    small, large = (make_pair(head, 30, 0, 0, size, None) for size in (64, 128))
    down = torch.nn.functional.avg_pool2d(large.flow, 2) / 2
    middle = (..., slice(16, 48), slice(16, 48))
    assert (small.flow - down)[middle].abs().median() < 0.2
    assert (small.target - torch.nn.functional.avg_pool2d(large.target, 2)).abs().mean() < 0.05


def test_without_a_turn_the_input_is_the_target(head):
    pair = make_pair(head, 0, 0, 0, 128, None)
    assert pair.flow.abs().max() < 4  # a detector's box is centred on the face, the frontal crop on the eyes
    assert pair.flow.std((1, 2)).max() < 0.01
    warped, landed = moved(pair)
    assert (warped - pair.target).abs().mean(0)[landed].mean() < 0.02
    assert pair.seen.mean() > 0.99


def test_the_mesh_lies_on_the_photo(shared):
    """A dot drawn on the nose's tip is where the mesh of the laid out photo has it, to a tenth of a crop's pixel."""
    data = np.load(shared / "data/portraits/facemesh.npz", allow_pickle=False)
    points = data["points"][0].astype(np.float64) * 3  # a photo of many pixels
    x, y = np.meshgrid(np.arange(675) + 0.5, np.arange(825) + 0.5)  # the first pixel's centre is at (0.5, 0.5)
    dot = np.exp(-((x - points[1, 0]) ** 2 + (y - points[1, 1]) ** 2) / (2 * 9**2))
    head = lay_out(np.dstack([np.round(dot * 255).astype(np.uint8)] * 3), points)
    weight = head.photo[0].double().numpy()
    axis = (np.arange(weight.shape[0]) + 0.5) / turning.PHOTO_SCALE
    centre = [(weight.sum(0) * axis).sum() / weight.sum(), (weight.sum(1) * axis).sum() / weight.sum()]
    assert centre == pytest.approx(head.mesh[1, :2], abs=0.1)


@pytest.mark.parametrize("yaw", [-40, 40])
def test_yaw_above_zero_turns_the_nose_to_image_right(head, yaw):
    mesh = turn(head, yaw, 0, 0).mesh
    nose, middle = mesh[1, 0], mesh[[234, 454], 0].mean()  # the nose's tip, the cheeks' rims
    assert (nose - middle) * yaw > 0


def test_eyes_lie_a_third_down(head):
    left, right, mouth = eyes_and_mouth(head.mesh)
    middle = (left + right) / 2
    assert middle - turning.MARGIN == pytest.approx([CROP / 2, CROP * EYES], abs=1e-3)
    assert left[1] == pytest.approx(right[1], abs=1e-3)
    assert np.linalg.norm(mouth - middle) == pytest.approx(42, abs=1e-3)
    assert pytest.approx(0.33) == EYES


def test_flip_mirrors_everything(head):
    pair = make_pair(head, 25, 5, 3, 64, None)
    flipped = flip(pair)
    assert torch.equal(flipped.image, pair.image.flip(-1))
    assert torch.equal(flipped.flow[0], -pair.flow[0].flip(-1))
    assert torch.equal(flipped.flow[1], pair.flow[1].flip(-1))
    (plain, landed), (mirrored, mirrored_landed) = moved(pair), moved(flipped)
    assert (landed == mirrored_landed.flip(-1)).float().mean() > 0.99
    assert (plain - mirrored.flip(-1)).abs()[:, landed].mean() < 1e-3


@pytest.fixture(scope="module")
def make_data(shared):
    def make(split: str, seed: int = 0, length: int = 0) -> FacePairs:
        data = RotatedPhotos(str(shared / "data/london"), split)
        return FacePairs([Source("london", data)], 64, split, seed, length, max_yaw=75)

    return make


def test_item(make_data):
    item = make_data("train", length=10)[3]
    channels = {"image": 3, "target": 3, "flow": 2, "seen": 1, "face": 1, "target_known": 1}
    assert {key: value.shape for key, value in item.items() if value.ndim} == {
        key: (count, 64, 64) for key, count in channels.items()
    }
    assert -1 <= item["image"].min() < item["image"].max() <= 1
    assert set(item["seen"].unique().tolist()) <= {0, 1}
    assert -75 <= float(item["yaw"]) <= 75


def test_seed_and_index_alone_decide_an_item(make_data):
    first, again, other = make_data("train", 1, 100), make_data("train", 1, 7), make_data("train", 2, 100)
    again[0], again[5]  # whatever was asked for before
    item = first[6]
    assert all(torch.equal(value, again[6][key]) for key, value in item.items())
    assert not torch.equal(item["image"], other[6]["image"])
    assert not torch.equal(item["image"], first[7]["image"])


def test_test_split_turns_every_photo_of_held_out_people(make_data):
    data = make_data("test")
    held_out = data.pairs.parts[0].pictures
    assert len(data) == len(held_out) * len(RotatedPhotos.TEST_YAWS)
    yaws = [float(data[index]["yaw"]) for index in range(len(RotatedPhotos.TEST_YAWS))]
    assert yaws == list(RotatedPhotos.TEST_YAWS)
    assert torch.equal(data[0]["target"], data[1]["target"])
    assert not set(make_data("train").pairs.parts[0].pictures.identities) & set(held_out.identities)


def points(count: int, number: int = 468) -> np.ndarray:
    """Meshes of a made-up face, in pixels."""
    return np.random.default_rng(0).uniform(40, 90, (count, number, 3)).astype(np.float32)


def write_meshes(root, names, **changed) -> None:
    count = len(names)
    values = {
        "name": np.array(names),
        "points": points(count),
        "yaw_pitch_roll_2d": np.zeros((count, 3)),
        "spread": np.zeros(count),
    }
    np.savez(root / "facemesh.npz", **(values | changed))


def test_photos_that_are_not_frontal_or_not_sure_are_left_out(tmp_path, names):
    few = names["train"]
    write_meshes(
        tmp_path,
        few,
        yaw_pitch_roll_2d=np.array([[0, 0, 40], [13, 0, 0], [0, -23, 0], [-11, 20, 0]]),
        spread=np.array([0, 0, 0, 0.2]),
    )
    assert [path.name for path in RotatedPhotos(str(tmp_path), "train").pictures.paths] == [few[0]]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"points": points(4, 478)}, r"points has the shape \(4, 478, 3\) instead of \(4, 468, 3\)"),
        ({"points": points(4)[..., :2]}, r"points has the shape \(4, 468, 2\)"),
        ({"points": points(4) / 130}, "the points of .* are not in pixels"),
        ({"points": points(4) * np.nan}, "the points of .* are not in pixels"),
        ({"spread": np.zeros(3)}, r"spread has the shape \(3,\)"),
        ({"yaw_pitch_roll_2d": np.zeros((4, 2))}, "yaw_pitch_roll_2d has the shape"),
        ({"spread": None}, "no file of meshes"),
    ],
)
def test_meshes_that_are_none_of_deforms_are_refused(tmp_path, names, changed, message):
    write_meshes(tmp_path, names["train"], **changed)
    with pytest.raises(UsageError, match=rf"facemesh\.npz.*{message}"):
        RotatedPhotos(str(tmp_path), "train")


def test_a_missing_array_is_named(tmp_path):
    np.savez(tmp_path / "facemesh.npz", name=np.array(["a.png"]), points=points(1))
    with pytest.raises(UsageError, match="yaw_pitch_roll_2d is not a file"):
        RotatedPhotos(str(tmp_path), "train")


def test_no_data(tmp_path, names):
    with pytest.raises(UsageError, match=r"no facemesh\.npz"):
        RotatedPhotos(str(tmp_path), "train")
    write_meshes(tmp_path, names["train"])
    with pytest.raises(UsageError, match="no near-frontal photo for the test split"):
        RotatedPhotos(str(tmp_path), "test")
    with pytest.raises(UsageError, match=r"\.png cannot be read"):
        RotatedPhotos(str(tmp_path), "train").pair(0, 64, None)
