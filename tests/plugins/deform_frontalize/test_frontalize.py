"""`deform frontalize`: finding the face, cutting it out, and what it writes and refuses."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

import deform_frontalize
from deform_frontalize import choice
from deform_frontalize.frontalizer import Frontalizer
from deform_frontalize.full_size import enlarge
from deform_frontalize.networks import Frontalized, soft_warp
from deform_frontalize.recipe import FrontalizeRecipe
from deformcli.faces.crops import Square, crop
from deformcli.images import to_tensor
from deformcli.warp import mesh_grid

from ...conftest import ROOT

BUNDLED = Path(deform_frontalize.__file__).parent / "weights" / "frontalize-128.safetensors"


@pytest.fixture
def run_frontalize(command, tiny_weights):
    """`run_frontalize("a.png", "-o", "b.png", ...)` with tiny weights."""
    return lambda *args: command("frontalize", *args, "--weights", tiny_weights("frontalize"))


def pixels(path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


# the networks


def test_frontalizer_gives_what_it_says(tiny_weights):
    frontalizer = Frontalizer.from_weights(tiny_weights("frontalize"), torch.device("cpu"))
    made = frontalizer(torch.rand(2, 3, 128, 128) * 4 - 2)
    shapes = {"flow": (2, 2), "visibility": (2, 1), "warped": (2, 3), "known": (2, 1), "output": (2, 3)}
    assert {name: tuple(value.shape[:2]) for name, value in made._asdict().items()} == shapes
    assert all(value.shape[2:] == (128, 128) for value in made)
    assert -1 <= made.output.min() <= made.output.max() <= 1
    assert 0 <= made.known.min() <= made.known.max() <= 1


def test_an_untrained_composition_returns_nearly_its_input(tiny_weights, photo):
    """The flow begins near the identity and the inpainter adds nothing at first."""
    frontalizer = Frontalizer.from_weights(tiny_weights("frontalize"), torch.device("cpu"))
    face = torch.from_numpy(photo[40:168, 160:288].copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
    assert (frontalizer(face).output - face).abs().mean() < 0.1


def test_soft_warp_by_hand(tiny_config):
    """Everything moves 2 pixels to the right; what is judged invisible is not moved, and leaves a hole."""
    config = tiny_config("frontalize", "best").generator
    image = (torch.arange(24.0) / 24).expand(1, 3, 24, 24)
    flow = torch.zeros(1, 2, 24, 24)
    flow[:, 0] = 2
    seen = torch.full((1, 1, 24, 24), 20.0)
    seen[..., 12:] = -20
    warped, known, _ = soft_warp(image, flow, seen, config)
    assert torch.allclose(known[..., 5:11], torch.ones(1, 1, 24, 6), atol=1e-3)
    assert (known[..., 11:18].diff() <= 0).all()  # the border is soft
    assert known[..., 18:].abs().max() < 1e-3
    assert torch.allclose(warped[..., 3:13], image[..., 1:11], atol=1e-3)
    visible, _, _ = soft_warp(image, flow, seen.fill_(20), config)
    assert torch.allclose(visible[..., 13:22], image[..., 11:20], atol=1e-3)


def test_what_is_stretched_is_present_but_not_known(tiny_config):
    """A flow that stretches the middle by 1, 2 and 4: the further, the less is known of it."""
    config = tiny_config("frontalize", "best").generator
    image, seen = torch.zeros(1, 3, 64, 64), torch.full((1, 1, 64, 64), 20.0)
    middle = []
    for stretch in (1, 2, 4):
        flow = torch.zeros(1, 2, 64, 64)
        flow[:, 0] = (torch.arange(64.0) - 31.5) * (stretch - 1)
        middle.append([float(part[0, 0, 32, 32]) for part in soft_warp(image, flow, seen, config)[1:]])
    known, present = zip(*middle, strict=True)
    assert known[0] == pytest.approx(1) and known[0] > known[1] > known[2] == 0
    assert min(present) > 0


def test_a_face_that_stays_where_it_is_stays_sharp(tiny_config, photo):
    config = tiny_config("frontalize", "best").generator
    face = to_tensor(photo[40:168, 160:288])
    warped = soft_warp(face, torch.zeros(1, 2, 128, 128), torch.full((1, 1, 128, 128), 20.0), config).warped
    edges, own = (x.diff(dim=3).abs().mean() for x in (warped, face))
    assert edges > 0.87 * own


def test_a_mirrored_face_gets_the_mirrored_flow(photo):
    frontalizer = Frontalizer.from_weights(BUNDLED, torch.device("cpu"))
    face = torch.from_numpy(crop(photo, Square(222, 112, 320), 128)).permute(2, 0, 1)[None] / 127.5 - 1
    made, mirrored = frontalizer(face), frontalizer(face.flip(-1))
    opposite = torch.tensor([-1.0, 1.0]).view(2, 1, 1)
    torch.testing.assert_close(mirrored.flow.flip(-1) * opposite, made.flow, atol=1e-3, rtol=0)
    torch.testing.assert_close(mirrored.visibility.flip(-1), made.visibility, atol=1e-3, rtol=1e-3)


def test_light_is_that_of_both_halves_but_for_what_falls_from_a_side(tiny_config):
    generator = FrontalizeRecipe(tiny_config("frontalize", "best")).generator.eval()
    torch.nn.init.normal_(generator.inpainter.head.weight)
    image = torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        made = generator(image)
        known = torch.ones_like(made.known)
        light = generator._compose(made.warped, known, known, mesh_grid(128, 128)) - made.warped
    opposite = (light - light.flip(-1)) / 2
    steps = opposite.diff(dim=-1)
    assert opposite.abs().max() > 1e-3
    assert ((steps >= -1e-5).all(-1) | (steps <= 1e-5).all(-1)).all(), "it rises or falls from one side to the other"
    assert ((light.diff(dim=-1) > 1e-5).any(-1) & (light.diff(dim=-1) < -1e-5).any(-1)).any(), "the rest is free"


# the photo's own resolution


def test_native_size_adds_the_photos_detail(photo):
    """The bundled network: coarse, the same picture; fine, of known pixels, about as much detail as the photo has."""
    frontalizer = Frontalizer.from_weights(BUNDLED, torch.device("cpu"))
    square = Square(222, 112, 320)
    faces = [torch.from_numpy(crop(photo, square, size)).permute(2, 0, 1)[None] / 127.5 - 1 for size in (128, 320)]
    made = frontalizer(faces[0])
    large = frontalizer.at_size(faces[1], made)
    assert large.shape == (1, 3, 320, 320)
    assert -1 <= large.min() <= large.max() <= 1
    again = torch.nn.functional.interpolate(large, (128, 128), mode="area")
    assert (again - made.output).abs().mean() < 0.03
    blurred = torch.nn.functional.interpolate(made.output, (320, 320), mode="bicubic")
    assert detail(large) > 1.3 * detail(blurred)
    assert detail(large) < detail(faces[1])


def detail(image: torch.Tensor) -> float:
    middle = image[..., 60:260, 60:260]
    return float((middle - torch.nn.functional.avg_pool2d(middle, 5, 1, 2)).abs().mean())


def test_detail_does_not_reach_into_holes(tiny_config):
    """Where neither the warped photo nor its mirror image is known, the small result is all there is."""
    config = tiny_config("frontalize", "best").generator
    face = torch.rand(1, 3, 256, 256) * 2 - 1
    flow, seen = torch.zeros(1, 2, 128, 128), torch.full((1, 1, 128, 128), 20.0)
    seen[..., 40:88] = -20
    smooth = torch.zeros(1, 3, 128, 128)
    large = enlarge(face, Frontalized(flow, seen, smooth, smooth[:, :1], smooth), config)
    assert large[..., 84:172].abs().max() < 1e-3
    assert large[..., 16:60].abs().mean() > 0.1


# the command


@pytest.mark.parametrize("kind", ["grey", "alpha", "tall", "small"])
def test_aligned_pictures_of_any_kind(run_frontalize, save, smooth_picture, kind):
    picture = {
        "grey": smooth_picture(128, 128)[..., 0],
        "alpha": np.dstack([smooth_picture(200, 200), np.full((200, 200), 90, np.uint8)]),
        "tall": smooth_picture(300, 200),
        "small": smooth_picture(30, 30),
    }[kind]
    assert run_frontalize(save("a.png", picture), "-o", "out.png", "--aligned") == (0, "", "")
    assert pixels("out.png").shape == ((128, 128) if kind == "grey" else (128, 128, 3))


def test_folder_to_folder(run_frontalize, save, smooth_picture, tmp_path):
    for name in ("a.png", "b.jpg", "below/c.png"):
        save(f"in/{name}", smooth_picture(128, 128))
    ended = run_frontalize("in", "-r", "-o", "out", "--aligned", "--json")
    assert ended.code == 0
    assert [outcome["status"] for outcome in json.loads(ended.out)] == ["done"] * 3
    made = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*"))
    assert made == ["a.png", "b.jpg", "below/c.png"]
    again = run_frontalize("in", "-r", "-o", "out", "--aligned", "--json")
    assert [outcome["status"] for outcome in json.loads(again.out)] == ["skipped"] * 3


def test_show_warp_writes_three_pictures(run_frontalize, save, photo, tmp_path):
    save("face.png", photo[40:168, 160:288])
    assert run_frontalize("face.png", "-o", "out.png", "--aligned", "--show-warp", "warp").code == 0
    assert {path.name for path in (tmp_path / "warp").iterdir()} == {
        "out-warped.png",
        "out-holes.png",
        "out-flow.png",
    }
    assert all(pixels(path).shape == (128, 128, 3) for path in (tmp_path / "warp").iterdir())
    warped, holes = pixels("warp/out-warped.png").astype(int), pixels("warp/out-holes.png")
    assert np.abs(warped - photo[40:168, 160:288])[30:100, 30:100].mean() < 15  # near the identity before training
    assert holes[30:100, 30:100].max() < 128


def test_without_an_output_all_files_are_called_after_the_photo(run_frontalize, save, photo, tmp_path):
    save("in/a.jpg", photo[40:168, 160:288])
    ended = run_frontalize("in/a.jpg", "--aligned", "--show-warp", "warp")
    assert (ended.code, ended.out) == (0, "in/a-frontal.jpg\n")
    assert pixels(tmp_path / "in/a-frontal.jpg").shape == (128, 128, 3)
    assert (tmp_path / "warp/a-frontal-flow.png").is_file()


def test_warps_keep_the_tree_of_the_outputs(run_frontalize, save, photo, tmp_path):
    save("in/a.png", photo[40:168, 160:288]), save("in/below/a.png", photo[40:168, 160:288])
    assert run_frontalize("in", "-r", "-o", "out", "--aligned", "--show-warp", "warp").code == 0
    assert sorted(str(path.relative_to(tmp_path / "warp")) for path in (tmp_path / "warp").rglob("*-flow.png")) == [
        "a-flow.png",
        "below/a-flow.png",
    ]


def test_one_picture_of_several_without_a_face(run_frontalize, save, photo, smooth_picture, tmp_path):
    save("in/face.png", photo[:260, 90:350]), save("in/wall.png", np.full((100, 100, 3), 90, np.uint8))
    ended = run_frontalize("in", "-o", "out")
    assert ended.code == 3
    assert "wall.png: no face found" in ended.err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["face.png"]


def test_no_face_is_refused(refused, save, tiny_weights):
    save("wall.png", np.full((100, 100, 3), 90, np.uint8))
    args = ("wall.png", "-o", "out.png", "--show-warp", "warp", "--weights", tiny_weights("frontalize"))
    assert "wall.png: no face found" in refused(5, "frontalize", *args)


@pytest.mark.parametrize("fault", ["missing", "text", "truncated", "empty"])
def test_bad_pictures(refused, bad_picture, tiny_weights, fault):
    args = (bad_picture(fault), "-o", "out.png", "--weights", tiny_weights("frontalize"))
    assert "bad.png" in refused(2, "frontalize", *args)


def test_bad_weights(refused, bad_weights, save, smooth_picture):
    save("a.png", smooth_picture(128, 128))
    path = bad_weights("frontalize")
    assert path.name in refused(4, "frontalize", "a.png", "--aligned", "-o", "out.png", "--weights", path)


@pytest.mark.parametrize("option", [("-o", "/proc/x/out.png"), ("--show-warp", "/proc/x")])
def test_folders_that_cannot_be_written(refused, save, smooth_picture, tiny_weights, option):
    save("a.png", smooth_picture(128, 128))
    args = ("a.png", "--aligned", "-o", "out.png", "--weights", tiny_weights("frontalize"), *option)
    assert "/proc/x" in refused(1, "frontalize", *args)


def test_as_a_real_process(deform, save, photo, tmp_path, tiny_weights):
    """The astronaut, found by MTCNN, without network."""
    args = (save("photo.jpg", photo), "-o", tmp_path / "out.png", "--show-warp", tmp_path / "warp", "--offline")
    ended = deform("frontalize", *args, "--weights", tiny_weights("frontalize"), DEFORM_LOAD_PLUGINS="frontalize")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert pixels(tmp_path / "out.png").shape == (128, 128, 3)
    assert len(list((tmp_path / "warp").iterdir())) == 3


# faces of a picture, from the command line


@pytest.fixture
def group(save, photo) -> Path:
    """Two faces of one person, the larger one at the right."""
    scene = np.full((260, 360, 3), 128, np.uint8)
    scene[70:170, 10:110] = cv2.resize(photo[30:230, 120:320], (100, 100), interpolation=cv2.INTER_AREA)
    scene[30:230, 150:350] = photo[30:230, 120:320]
    return save("group.png", scene)


def test_dry_run_lists_the_faces(run_frontalize, group, tmp_path):
    ended = run_frontalize(group, "-o", "out.png", "--dry-run")
    first, second, third = ended.err.splitlines()
    assert (ended.code, first) == (0, f"planned: {group} -> out.png")
    assert re.fullmatch(r"  face 1: box \d+,\d+,\d+,\d+, score 1.00, frontal", second)
    assert third.startswith("  face 2: box ")
    assert not (tmp_path / "out.png").exists()


def test_all_faces_to_their_own_files(run_frontalize, group, tmp_path):
    assert run_frontalize(group, "-o", "out/", "--face", "all", "--show-warp", "warp").code == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"group.png", "group-2.png"}
    assert len(list((tmp_path / "warp").iterdir())) == 6
    assert run_frontalize(group, "-o", "second.png", "--face", "2").code == 0
    assert (pixels("second.png") == pixels("out/group-2.png")).all()
    assert run_frontalize(group, "-o", "first.png").code == 0
    assert (pixels("first.png") == pixels("out/group.png")).all()


def test_all_faces_beside_an_older_result(run_frontalize, group, save, photo, tmp_path):
    """The files of a photo are of one run, and what is left of another is told."""
    assert run_frontalize(group, "-o", "out/", "--face", "all", "--show-warp", "warp").code == 0
    before = {path: path.read_bytes() for folder in ("out", "warp") for path in (tmp_path / folder).iterdir()}
    (tmp_path / "out" / "group.png").unlink()
    save("other/group.png", photo)
    ended = run_frontalize("other/group.png", "-o", "out/", "--face", "all", "--show-warp", "warp")
    assert ended.code == 2 and "group-warped.png exists already" in ended.err
    assert {path.read_bytes() == before[path] for path in before if path.exists()} == {True}
    ended = run_frontalize("other/group.png", "-o", "out/", "--face", "all", "--exists", "overwrite")
    assert ended == (0, "", "note: other/group.png: out/group-2.png is of an earlier run\n")
    assert run_frontalize(group, "-o", "out/", "--face", "all", "--exists", "rename").code == 0
    names = {"group.png", "group-2.png", "group-1.png", "group-1-2.png"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names


def test_warps_beside_stdout_are_called_after_the_picture(environment, save, smooth_picture, tiny_weights, tmp_path):
    save("a.png", smooth_picture(128, 128))
    args = ("a.png", "-o", "-", "--aligned", "--show-warp", "warp", "--weights", tiny_weights("frontalize"))
    command = [sys.executable, "-m", "deformcli", "frontalize", *args]
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=True)
    assert ended.stdout.startswith(b"\x89PNG") and ended.stderr == b""
    assert {path.name for path in tmp_path.glob("warp/*")} == {"a-warped.png", "a-holes.png", "a-flow.png"}


def test_paste_changes_the_face_alone(run_frontalize, group):
    assert run_frontalize(group, "-o", "out.png", "--paste", "--box", "200,70,100,130").code == 0
    before, after = pixels(group).astype(int), pixels("out.png").astype(int)
    changed = np.abs(after - before).max(2) > 0
    assert changed[90:150, 230:280].mean() > 0.5
    assert not changed[:, :130].any()
    assert run_frontalize(group, "-o", "both.png", "--paste", "--face", "all").code == 0  # from the front already
    assert (pixels("both.png") == pixels(group)).all()


def test_a_box_stands_for_a_face(run_frontalize, group, save):
    wall = save("wall.png", np.full((100, 100, 3), 90, np.uint8))
    assert run_frontalize(wall, "-o", "out.png", "--box", "10,10,60,70").code == 0
    assert pixels("out.png").shape == (128, 128, 3)


@pytest.mark.parametrize("paste", [(), ("--paste",)])
@pytest.mark.parametrize("box", ["900,900,50,50", "0,0,99999999,99999999", "-60,-60,100,100"])
def test_a_box_that_misses_the_picture_is_refused(refused, group, tiny_weights, box, paste):
    args = (group, "-o", "out.png", f"--box={box}", *paste, "--weights", tiny_weights("frontalize"))
    assert "most of it lies outside the picture of 360 x 260" in refused(5, "frontalize", *args)


@pytest.mark.parametrize("shape", [(10, 100_000), (100_000, 10)])
@pytest.mark.parametrize("how", ["--aligned", "--box=0,0,10,10", "--box=0,0,100,10", "--box=0,0,10,60000", "--paste"])
def test_slivers_are_made_or_refused(run_frontalize, save, shape, how):
    """Pictures wider than OpenCV samples, of faces thinner than a pixel once reduced."""
    sliver = save("sliver.png", np.full((*shape, 3), 90, np.uint8))
    ended = run_frontalize(sliver, "-o", "out.png", how, *(("--paste",) if "box" in how else ()))
    assert ended.code in (0, 5) and "unexpected" not in ended.err


def test_faces_that_stay_are_told_and_reported(run_frontalize, group, tmp_path):
    ended = run_frontalize(group, "-o", "out.png", "--paste", "--face", "all", "--report", "report.jsonl")
    first, second = ended.err.splitlines()
    assert re.fullmatch(r"note: .*group.png: face 1, box .* frontal, stays as it is: it looks ahead already", first)
    assert "face 2, box" in second
    (outcome, _) = map(json.loads, Path("report.jsonl").read_text().splitlines())
    assert [f"note: {group}: {note}" for note in outcome["notes"]] == [first, second]


@pytest.mark.parametrize(("args", "code"), [((), 0), (("--min-face", "9"), 5), (("--min-face", "8"), 0)])
def test_a_tiny_face_is_remarked_on_or_refused(run_frontalize, group, args, code):
    ended = run_frontalize(group, "-o", "out.png", "--box", "40,100,8,8", *args)
    assert ended.code == code
    assert "8 pixels from brow to chin" in ended.err


@pytest.mark.parametrize("turn", [90, 180])
def test_a_turned_photo_is_pasted_as_it_lay(command, save, tmp_path, monkeypatch, turn):
    monkeypatch.setattr(choice, "TOO_FAR", 60)
    photo = pixels(ROOT / "examples" / "three-quarter.jpg")
    for name, one in (("upright", photo), ("turned", np.rot90(photo, -turn // 90))):
        save(f"{name}.png", np.ascontiguousarray(one))
        for made, args in (("face", ()), ("whole", ("--paste",))):
            out = tmp_path / f"{name}-{made}.png"
            assert command("frontalize", tmp_path / f"{name}.png", "-o", out, *args) == (0, "", "")
    upright, turned = (pixels(tmp_path / f"{name}-face.png").astype(int) for name in ("upright", "turned"))
    assert np.abs(upright - turned).mean() < 1
    upright, turned = (pixels(tmp_path / f"{name}-whole.png").astype(int) for name in ("upright", "turned"))
    assert np.abs(upright - np.rot90(turned, turn // 90)).mean() < 0.1
    assert np.abs(upright - photo).mean() > 0.3


def test_native_size_is_that_of_the_crop(run_frontalize, save, smooth_picture):
    assert (
        run_frontalize(save("a.png", smooth_picture(300, 300)), "-o", "o.png", "--aligned", "--size", "native").code
        == 0
    )
    assert pixels("o.png").shape == (300, 300, 3)


@pytest.mark.parametrize(
    ("what", "code", "status"), [("fail", 5, "failed"), ("skip", 0, "skipped"), ("copy", 0, "done")]
)
def test_on_no_face(run_frontalize, save, tmp_path, what, code, status):
    wall = save("wall.jpg", np.full((100, 100, 3), 90, np.uint8))
    ended = run_frontalize(wall, "-o", "out.jpg", "--on-no-face", what, "--json")
    assert (ended.code, json.loads(ended.out)[0]["status"]) == (code, status)
    assert (tmp_path / "out.jpg").exists() == (what == "copy")
    if what == "copy":
        assert Path("out.jpg").read_bytes() == wall.read_bytes()


def test_no_such_face(refused, group, tiny_weights):
    args = (group, "-o", "out.png", "--face", "3", "--weights", tiny_weights("frontalize"))
    assert "no face 3, 2 found" in refused(5, "frontalize", *args)


def test_a_detector_that_is_not_there(refused, group, tiny_weights):
    args = (group, "-o", "out.png", "--detector", "yunet", "--weights", tiny_weights("frontalize"))
    assert "libfacedetection" in refused(4, "frontalize", *args)


def test_the_second_detector(run_frontalize, group, shared):
    yunet = shared / "weights" / "yunet_n_640_640.onnx"
    for name in (yunet, f"yunet={yunet}"):
        assert run_frontalize(group, "-o", "out.png", "--exists", "overwrite", "--detector", name).code == 0
        assert pixels("out.png").shape == (128, 128, 3)
