"""`deform synthesize heads`: people that a seed decides, and flow that is exact."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from deform_synthesize.figure import build, macro_weights
from deform_synthesize.heads import make_head, random_background
from deform_synthesize.people import random_person
from deform_synthesize.produce import MULTIPIE, SetConfig
from deformcli.data.rendered import RenderedPairs, read_pair
from deformcli.data.sources import Pair
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

    config = SetConfig(tmp_path, **{"views": 3, "yaw": 50.0, "angles": "continuous", "size": 64, "seed": 3, **changes})
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
    config = SetConfig(tmp_path, 13, 90.0, "multipie", 64, 0)
    assert sorted(yaw for yaw, *_ in config.draw_angles(np.random.default_rng(0))) == list(MULTIPIE)


def test_yaws_spread_over_the_whole_range(tmp_path):
    config = SetConfig(tmp_path, 6, 90.0, "continuous", 64, 0)
    yaws = sorted(yaw for yaw, *_ in config.draw_angles(np.random.default_rng(0)))
    assert all(-90 + 30 * part <= yaw <= -60 + 30 * part for part, yaw in enumerate(yaws))


def test_backgrounds_may_be_photos(tmp_path):
    from .conftest import write_picture

    write_picture(tmp_path / "a.png", np.full((50, 70, 3), (10, 200, 30), np.uint8))
    plates = [random_background(np.random.default_rng(seed), (tmp_path / "a.png",)) for seed in range(20)]
    green = [np.allclose(plate, np.array([30, 200, 10]) / 255, atol=0.01) for plate in plates]
    assert any(green) and not all(green)
    assert all(plate.dtype == np.float32 and 0 <= plate.min() <= plate.max() <= 1 for plate in plates)


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
