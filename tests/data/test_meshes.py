"""`deform data mesh`: meshes of one's own photos, as `rotated:` wants them, taken up where a run ended."""

from __future__ import annotations

import json
import shutil

import cv2
import numpy as np
import pytest

from deformcli import registry
from deformcli.cli import main
from deformcli.data import meshes
from deformcli.data.found import FoundFaces
from deformcli.data.meshes import COLUMNS, read_meshes
from deformcli.data.rotated import RotatedPhotos, near_frontal
from deformcli.data.splits import split_of
from deformcli.errors import UsageError

NAMES = [name for name in (f"{number:03d}_03.png" for number in range(100)) if split_of(name) == "train"]


@pytest.fixture
def mesh(tmp_path, monkeypatch, capfd):
    """`mesh(...)` runs the command in this process, in an empty folder: its exit code, stdout and stderr."""
    monkeypatch.setenv("DEFORM_LOAD_PLUGINS", "")
    monkeypatch.chdir(tmp_path)
    registry.plugins.cache_clear()

    def run(*args: str) -> tuple[int, str, str]:
        return main(["data", "mesh", *args, "--offline", "--device", "cpu"]), *capfd.readouterr()

    yield run
    registry.plugins.cache_clear()


@pytest.fixture(scope="module")
def face():
    from skimage.data import astronaut

    return np.ascontiguousarray(astronaut()[:256, 96:352])


@pytest.fixture
def photos(tmp_path, face):
    """A photo of somebody, the same in a folder below, a grey one, and one that is broken."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    cv2.imwrite(str(folder / NAMES[0]), face[..., ::-1])
    cv2.imwrite(str(folder / "more" / NAMES[1]), face[:, ::-1, ::-1])
    cv2.imwrite(str(folder / "grey.png"), np.full((64, 64, 3), 128, np.uint8))
    (folder / "broken.jpg").write_bytes((folder / NAMES[0]).read_bytes()[:80])
    return folder


def test_meshes_of_photos(mesh, photos):
    code, out, err = mesh("photos")
    assert (code, out) == (3, "")
    assert "2 meshes in photos/facemesh.npz, 2 of them new" in err
    assert "photos/grey.png: no face found" in err and "photos/broken.jpg is damaged" in err
    assert "2 photos have no mesh: 1 without a face, 1 unreadable" in err
    data = np.load(photos / "facemesh.npz", allow_pickle=False)
    assert data["name"].tolist() == [NAMES[0], f"more/{NAMES[1]}"]
    assert {key: data[key].shape[1:] for key in data.files if key != "name"} == COLUMNS
    assert all(data[key].dtype == np.float32 for key in COLUMNS)
    nose, (left, top, right, bottom) = data["points"][0, 1], data["box"][0]
    assert left < nose[0] < right and top < nose[1] < bottom
    assert np.abs(data["eyes_mouth"][0, 2] - nose[:2]).max() < 12
    assert data["yaw_pitch_roll_2d"][0, 0] == pytest.approx(-data["yaw_pitch_roll_2d"][1, 0], abs=2)
    assert (data["spread"] < 0.05).all() and (data["score"] > 0.9).all() and (data["det_score"] > 0.9).all()


def test_they_can_be_trained_on(mesh, photos):
    mesh("photos", "-o", "elsewhere.npz")
    usable = near_frontal(photos, photos.parent / "elsewhere.npz")
    assert [path.name for path, _ in usable] == [NAMES[0], NAMES[1]]
    shutil.move("elsewhere.npz", photos / "facemesh.npz")
    pair = RotatedPhotos(str(photos), "train").pair(0, 64, None)
    assert pair.seen.mean() > 0.4 and pair.flow is not None


def test_a_rerun_does_what_is_missing(mesh, photos, face, monkeypatch):
    for name in ("grey.png", "broken.jpg"):
        (photos / name).unlink()
    assert mesh("photos")[0] == 0
    before = read_meshes(photos / "facemesh.npz")
    cv2.imwrite(str(photos / NAMES[2]), face[..., ::-1])
    (photos / NAMES[0]).unlink()
    looked, find = [], meshes.find_meshes
    monkeypatch.setattr(
        meshes, "find_meshes", lambda root, names, *rest: looked.extend(names) or find(root, names, *rest)
    )
    code, out, _ = mesh("photos", "--json")
    told = json.loads(out)
    assert (code, looked, told["meshes"], told["new"]) == (0, [NAMES[2]], 2, 1)
    after = read_meshes(photos / "facemesh.npz")
    assert list(after) == [NAMES[2], f"more/{NAMES[1]}"]  # what is gone is left out
    assert np.array_equal(after[f"more/{NAMES[1]}"]["points"], before[f"more/{NAMES[1]}"]["points"])
    assert mesh("photos")[0] == 0 and looked == [NAMES[2]]  # nothing left to do


def test_what_was_found_before_an_interruption_stays(mesh, photos, monkeypatch):
    find = meshes.find_meshes

    def interrupted(root, names, *rest):
        for found in find(root, names, *rest):
            yield found
            if found[0] == NAMES[0]:
                raise KeyboardInterrupt

    monkeypatch.setattr(meshes, "find_meshes", interrupted)
    assert mesh("photos")[0] == 130
    assert list(read_meshes(photos / "facemesh.npz")) == [NAMES[0]]


def test_no_face_no_photo_and_another_file(mesh, photos, tmp_path):
    for path in (photos / NAMES[0], photos / "more" / NAMES[1], photos / "broken.jpg"):
        path.unlink()
    code, _, err = mesh("photos")
    assert code == 5 and "1 without a face" in err
    assert not (photos / "facemesh.npz").exists()
    (tmp_path / "empty").mkdir()
    assert mesh("empty")[0] == 5
    np.savez(tmp_path / "other.npz", name=np.array(["a"]), points=np.zeros((1, 468, 3)))
    code, _, err = mesh("photos", "-o", "other.npz")
    assert code == 2 and "other.npz is no file of meshes" in err
    (tmp_path / "torn.npz").write_bytes(b"PK\x03\x04torn")
    with pytest.raises(UsageError):
        read_meshes(tmp_path / "torn.npz")
    assert mesh("photos", "--weights", "mobilefacenet")[0] == 4


@pytest.mark.parametrize("reader", ["rotated", "views", "command"])
@pytest.mark.parametrize("fault", ["a column less", "no zip", "one array", "empty"])
def test_a_file_without_its_columns_is_named(tmp_path, fault, reader):
    path = tmp_path / "facemesh.npz"
    if fault == "a column less":
        np.savez(path, **{key: np.zeros((1, *shape)) for key, shape in COLUMNS.items() if key != "spread"}, name=["a"])
    elif fault == "one array":
        with path.open("wb") as file:
            np.save(file, np.zeros(3))
    else:
        path.write_bytes(b"no zip" if fault == "no zip" else b"")
    with pytest.raises(UsageError, match=r"facemesh\.npz is no file of meshes with all their columns"):
        if reader == "rotated":
            near_frontal(tmp_path, path, "train")
        elif reader == "views":
            FoundFaces([tmp_path])
        else:
            read_meshes(path)
