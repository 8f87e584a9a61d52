"""`deform synthesize heads`: people that a seed decides, and flow that is exact."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from deform_synthesize import produce
from deform_synthesize.figure import build, macro_weights
from deform_synthesize.heads import make_head, random_background
from deform_synthesize.people import random_person
from deform_synthesize.produce import MULTIPIE, SetConfig
from deformcli.data.rendered import RenderedPairs, read_pair
from deformcli.data.sources import Pair
from deformcli.errors import DeformError, UsageError
from deformcli.warp import forward_warp


def warp_error(pair: Pair) -> tuple[float, float]:
    """Mean difference to the target on the head, of the input warped by the exact flow where seen, and unwarped."""
    flow = pair.flow.where(pair.seen > 0, torch.nan)
    warped, coverage = forward_warp(pair.image[None], flow[None])
    head = pair.face[0] > 0.9
    landed = (coverage[0, 0] > 0.5) & head
    moved, still = (warped[0] - pair.target).abs().mean(0), (pair.image - pair.target).abs().mean(0)
    return float(moved[landed].mean()), float(still[head].mean())


def make_pairs(assets: Path, tmp_path: Path, identity: str, **changes: object) -> list[Pair]:
    from deformcli.data.rendered import write_person

    config = SetConfig(
        tmp_path, "heads", **{"views": 3, "yaw": 50.0, "angles": "continuous", "size": 64, "seed": 3, **changes}
    )
    samples = make_head(config, identity, assets, ())
    write_person(tmp_path, identity, samples)
    path = tmp_path / "people" / f"{identity}.tar"
    return [read_pair(path, f"{identity}-{view:02d}") for view in range(len(samples))]


def test_the_flow_of_an_egg_turns_the_input_into_the_target(assets, tmp_path):
    for pair in make_pairs(assets, tmp_path, "egg"):
        moved, still = warp_error(pair)
        assert moved < 0.04
        assert moved < still / 2


@pytest.mark.parametrize("identity", ["a", "b"])
def test_the_flow_of_a_person_turns_the_input_into_the_target(shared, tmp_path, identity):
    for pair in make_pairs(shared / "assets/makehuman", tmp_path, identity, size=128, yaw=60.0):
        moved, still = warp_error(pair)
        assert moved < 0.09  # soft outlines carry some of their background along
        assert moved < still / 3
        assert 0.3 < pair.seen.mean() < 1


def test_frontal_crops_are_framed_like_those_of_photos(shared):
    """Pupils a third down, level and 42 of 128 pixels above the mouth."""
    from deform_synthesize.render import frontal_camera

    assets = shared / "assets/makehuman"
    figure = build(assets, random_person(assets, np.random.default_rng(0)))
    camera = frontal_camera(figure, 700.0)
    eyes, mouth = (
        (camera.project(figure.landmarks[name])[:, :2].mean(0) - camera.corner) * 224 / camera.side - 48
        for name in ("eyes", "mouth")
    )
    assert eyes == pytest.approx([64, 0.33 * 128], abs=0.1)
    assert np.linalg.norm(mouth - eyes) == pytest.approx(42, abs=0.1)


def test_shares_of_the_macro_shapes_add_up(assets):
    for seed in range(20):
        person = random_person(assets, np.random.default_rng(seed))
        weights = macro_weights(person)
        universal = sum(amount for name, amount in weights.items() if "universal" in name)
        assert universal == pytest.approx(1, abs=0.02)
        assert sum(weights.values()) - universal == pytest.approx(1, abs=0.02)


def test_multipie_angles(tmp_path):
    config = SetConfig(tmp_path, "heads", 13, 90.0, "multipie", 64, 0)
    assert sorted(yaw for yaw, *_ in config.draw_angles(np.random.default_rng(0))) == list(MULTIPIE)


def test_yaws_spread_over_the_whole_range(tmp_path):
    config = SetConfig(tmp_path, "heads", 6, 90.0, "continuous", 64, 0)
    yaws = sorted(yaw for yaw, *_ in config.draw_angles(np.random.default_rng(0)))
    assert all(-90 + 30 * part <= yaw <= -60 + 30 * part for part, yaw in enumerate(yaws))


def test_backgrounds_may_be_photos(tmp_path):
    from .conftest import write_picture

    write_picture(tmp_path / "a.png", np.full((50, 70, 3), (10, 200, 30), np.uint8))
    plates = [random_background(np.random.default_rng(seed), (tmp_path / "a.png",)) for seed in range(20)]
    green = [np.allclose(plate, np.array([30, 200, 10]) / 255, atol=0.01) for plate in plates]
    assert any(green) and not all(green)
    assert all(plate.dtype == np.float32 and 0 <= plate.min() <= plate.max() <= 1 for plate in plates)


def test_an_unreadable_background_is_passed_over(tmp_path):
    from .conftest import write_picture

    (tmp_path / "a.png").write_bytes(b"no picture")
    write_picture(tmp_path / "b.png", np.full((50, 70, 3), (10, 200, 30), np.uint8))
    both = (tmp_path / "a.png", tmp_path / "b.png")
    plates = [random_background(np.random.default_rng(seed), both) for seed in range(20)]
    assert sum(np.allclose(plate, np.array([30, 200, 10]) / 255, atol=0.01) for plate in plates) > 5
    with pytest.raises(UsageError, match="none of the pictures of --backgrounds can be read"):
        for seed in range(20):
            random_background(np.random.default_rng(seed), both[:1])


def test_makehumans_own_layout(assets, tmp_path):
    """It gives the same person as the flat one, and a normal map beside the hair is no texture."""
    own = tmp_path / "data"
    shutil.copytree(assets, own)
    for flat, nested in [
        ("base.obj", "3dobjs"),
        *((f"eyes/high-poly.{kind}", "eyes/high-poly") for kind in ("obj", "mhclo")),
        *((path.relative_to(assets), "eyes/materials") for path in assets.glob("eyes/*.png")),
        *((path.relative_to(assets), "skins/textures") for path in assets.glob("skins/*")),
    ]:
        (own / nested).mkdir(parents=True, exist_ok=True)
        shutil.move(own / flat, own / nested)
    for folder in own.glob("hair/*"):
        shutil.copy(next(folder.glob("*.png")), folder / "a_normal.png")
    config = SetConfig(tmp_path, "heads", 1, 30.0, "continuous", 32, 0)
    (ours,), (theirs,) = (make_head(config, "someone", root, ()) for root in (assets, own))
    assert np.array_equal(ours.image, theirs.image) and np.array_equal(ours.flow, theirs.flow)


@pytest.fixture
def heads(deform, assets, tmp_path):
    """`heads("out", "--workers", 2)` runs the command; returns its result and the bytes of all files."""

    def run(out: str, *args: object, identities: int = 3):
        options = ["--identities", identities, "--views", 2, "--size", 32, "--assets", assets]
        ended = deform(
            "synthesize", "heads", "--out", tmp_path / out, *options, *args, DEFORM_LOAD_PLUGINS="synthesize"
        )
        files = {path.relative_to(tmp_path / out).as_posix(): path for path in (tmp_path / out).rglob("*.*")}
        return ended, {name: path.read_bytes() for name, path in files.items()}

    return run


def test_command(heads, tmp_path):
    ended, files = heads("a")
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.splitlines() == [f"3 people, 6 pairs in {tmp_path / 'a'}"]
    lines = [json.loads(line) for line in files["index.jsonl"].splitlines()]
    assert {"identity", "key", "yaw", "pitch", "roll", "light", "source", "licence"} <= set(lines[0])
    assert len({line["identity"] for line in lines}) == 3

    # A rerun with more people keeps those that are there and makes the missing ones, in however many processes.
    victim = next(name for name in files if name.endswith(".tar"))
    (tmp_path / "a" / victim).unlink()
    again, more = heads("a", "--workers", 2, identities=4)
    assert again.returncode == 0, again.stderr
    assert {name: more[name] for name in files if name.endswith(".tar")} == {
        name: data for name, data in files.items() if name.endswith(".tar")
    }
    assert more["index.jsonl"].startswith(files["index.jsonl"])
    assert len(more["index.jsonl"].splitlines()) == 8

    for option in (["--seed", 1], ["--views", 3]):
        ended, after = heads("a", *option)
        assert (ended.returncode, after) == (2, more)
        assert "made with other options" in ended.stderr
    assert len(RenderedPairs(str(tmp_path / "a"), "train")) > 0


@pytest.mark.parametrize("there", [False, True])
def test_backgrounds_that_are_not_there_are_refused(heads, tmp_path, there):
    if there:
        (tmp_path / "phtos").mkdir()
    ended, files = heads("a", "--backgrounds", tmp_path / "phtos")
    assert (ended.returncode, files) == (2, {})
    assert ended.stderr.splitlines()[0].endswith(f"--backgrounds {tmp_path / 'phtos'}: no picture there")


@pytest.fixture
def photos(deform, tmp_path):
    """`photos("out")` runs the command on three photos, of which `b.png` is none; returns its result."""
    from .conftest import write_picture

    names = ["a.png", "b.png", "c.png"]
    for name in (names[0], names[2]):
        write_picture(tmp_path / "data" / name, np.random.default_rng(0).integers(0, 256, (130, 130, 3), np.uint8))
    (tmp_path / "data/b.png").write_bytes(b"no picture")
    points = np.random.default_rng(0).uniform((40, 40, -10), (90, 110, 10), (3, 468, 3))
    for corners, x, y in (((33, 133), 50, 60), ((362, 263), 80, 60), ((61, 291), 65, 92)):
        points[:, corners, :2] = np.array([[x - 5, y], [x + 5, y]])
    about = {"yaw_pitch_roll_2d": np.zeros((3, 3)), "spread": np.zeros(3)}
    np.savez(tmp_path / "data/facemesh.npz", name=names, points=points, **about)

    def run(out: object, *args: object):
        options = ["--data", tmp_path / "data", "--out", out, "--views", 1, "--size", 32]
        return deform("synthesize", "photos", *options, *args, DEFORM_LOAD_PLUGINS="synthesize")

    return run


@pytest.mark.parametrize("workers", [1, 2])
def test_an_unreadable_photo_leaves_the_others(photos, tmp_path, workers):
    for _ in range(2):  # a rerun, too
        ended = photos(tmp_path / "a", "--workers", workers)
        assert ended.returncode == 3, ended.stderr
        lines = ended.stderr.splitlines()
        assert lines[0] == f"2 people, 2 pairs in {tmp_path / 'a'}"
        assert "b.png" in lines[1] and "1 of 3 photos cannot be read" in lines[2]
    assert sorted(path.name for path in (tmp_path / "a/people").iterdir()) == ["a.png.tar", "c.png.tar"]
    for name in ("a.png", "c.png"):
        (tmp_path / "data" / name).write_bytes(b"no picture")
    ended = photos(tmp_path / "b", "--workers", workers)
    assert ended.returncode == 2 and not (tmp_path / "b/index.jsonl").exists()


def test_a_set_is_of_heads_or_of_photos(heads, photos, tmp_path):
    assert photos(tmp_path / "a").returncode == 3
    ended, _ = heads("a", "--views", 1, "--yaw", 75)
    assert ended.returncode == 2 and "made with other options" in ended.stderr


def test_a_full_disk_is_said(tmp_path, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    config = SetConfig(tmp_path / "a", "photos", 1, 30.0, "continuous", 32, 0)
    monkeypatch.setattr(produce, "write_person", full)
    with pytest.raises(DeformError, match="a cannot be written: No space left on device"):
        produce.produce(config, ["someone"], lambda *_: [], 1, False)


def test_without_assets_nothing_is_written(deform, tmp_path):
    ended = deform(
        "synthesize", "heads", "--assets", tmp_path, "--out", tmp_path / "a", DEFORM_LOAD_PLUGINS="synthesize"
    )
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 2
    assert not (tmp_path / "a").exists()


def test_photos(deform, shared, tmp_path):
    meshes = shared / "data/london/facemesh.npz"
    data = np.load(meshes, allow_pickle=False)
    few = {name: data[name][:2] for name in ("name", "points", "yaw_pitch_roll_2d", "spread")}
    np.savez(tmp_path / "few.npz", **few)
    args = ("--data", meshes.parent, "--mesh", tmp_path / "few.npz", "--out", tmp_path / "a", "--views", 2, "--yaw", 40)
    ended = deform("synthesize", "photos", *args, "--size", 64, DEFORM_LOAD_PLUGINS="synthesize")
    assert ended.returncode == 0, ended.stderr
    for path in sorted((tmp_path / "a/people").iterdir()):
        pair = read_pair(path, f"{path.stem}-00")
        moved, still = warp_error(pair)
        assert moved < 0.05
        assert moved < still / 2
