"""`deform evaluate`: rows that say what was measured, beside baselines on the same items."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from deform_evaluate.methods import choose_baselines
from deform_frontalize.predictor import FrontalizePredictor
from deform_frontalize.recipe import FrontalizeRecipe
from deform_inpaint.predictor import InpaintPredictor
from deform_inpaint.recipe import InpaintRecipe
from deformcli.data.splits import is_held_out, split_of
from deformcli.evaluation import gap
from deformcli.models.embedders import CompactVGG19Features, LpipsWeights, MobileFaceNet, VGG16LpipsFeatures
from deformcli.recipes import open_items
from deformcli.weights import file_sha256


@pytest.fixture
def photos(save, smooth_picture):
    """A folder with two held-out pictures among others."""
    held_out = [f"{number}.png" for number in range(200) if is_held_out(f"{number}.png")][:2]
    for seed, name in enumerate([*held_out, *(f"{n}.png" for n in range(5) if not is_held_out(f"{n}.png"))]):
        save(f"photos/{name}", smooth_picture(48, 40, seed))
    return "folder:photos"


@pytest.fixture
def report(command):
    """`report("inpaint", ...)` is the JSON of a run without warnings."""

    def run(*args: object) -> dict:
        ended = command("evaluate", *args, "--json")
        assert (ended.code, ended.err) == (0, "")
        return json.loads(ended.out)

    return run


def means(report: dict, group: str = "all") -> dict[str, dict[str, float]]:
    return {row["method"]: row["means"] for row in report["rows"] if row["group"] == group}


def test_report_of_inpaint(report, photos, tiny_weights):
    args = ("inpaint", "--data", photos, "--weights", tiny_weights("inpaint"), "--size", 32)
    found = report(*args)
    rows = {(row["method"], row["group"]): row for row in found["rows"]}
    methods = {"inpaint", "copy", "telea", "navier-stokes", "biharmonic"}
    assert set(rows) == {(method, group) for method in methods for group in ("thin", "thick", "all")}
    assert {row["items"] for (_, group), row in rows.items() if group == "all"} == {4}
    assert found["about"]["items"] == 4
    assert found["about"]["people"] == 2
    assert found["about"]["weights"] == {"inpaint": file_sha256(tiny_weights("inpaint"))}
    for (method, _), row in rows.items():
        assert list(row["means"]) == ["mse", "psnr", "ssim", "hole-mse", "hole-psnr"]
        assert 0 < row["means"]["mse"] < row["means"]["hole-mse"], "what is known is kept"
        assert method == "copy" or 15 < row["means"]["psnr"] < 80
        low, high = row["intervals"]["mse"]
        assert low - 1e-9 <= row["means"]["mse"] <= high + 1e-9
    for method in methods:
        halves = [rows[method, kind]["means"]["mse"] for kind in ("thin", "thick")]
        assert rows[method, "all"]["means"]["mse"] == pytest.approx(np.mean(halves))
    assert report(*args) == found


def test_masks_may_be_chosen(report, photos, save, tiny_weights):
    save("masks/left.png", np.repeat(np.repeat([[255, 0]], 8, 0), 4, 1).astype(np.uint8))
    args = ("inpaint", "--data", photos, "--weights", tiny_weights("inpaint"), "--size", 32)
    found = report(*args, "--masks", "strokes:thick,folder:masks")
    assert {row["group"] for row in found["rows"]} == {"thick", "masks", "all"}


def test_the_split_that_chose_the_weights_may_be_measured_too(report, photos, save, smooth_picture, tiny_weights):
    """It is another one than the test split: more pictures of it change nothing there."""
    args = ("inpaint", "--data", photos, "--weights", tiny_weights("inpaint"), "--size", 32, "--baseline", "copy")
    before = report(*args)
    for number in range(40):
        if split_of(f"{number}.png") != "test":
            save(f"photos/{number}.png", smooth_picture(48, 40, number))
    assert report(*args) == before and before["about"]["split"] == "test"
    found = report(*args, "--split", "validation")
    count = sum(split_of(f"{number}.png") == "validation" for number in range(40))
    assert (found["about"]["split"], found["about"]["people"]) == ("validation", count)


def test_unreadable_pictures_are_left_out_counted_and_named(command, photos, tmp_path, tiny_weights):
    """No other picture stands in for them, and the others' numbers are as without them."""
    args = ("inpaint", "--data", photos, "--weights", tiny_weights("inpaint"), "--size", 32, "--baseline", "copy")
    name = max(path.name for path in (tmp_path / "photos").iterdir() if is_held_out(path))
    (tmp_path / "photos" / name).write_bytes(b"damaged")
    ended = command("evaluate", *args, "--json")
    assert ended.code == 3
    assert "error: 2 items cannot be read" in ended.err and ended.err.count(f"photos/{name} is not a picture") == 1
    found = json.loads(ended.out)
    assert (found["about"]["items"], found["about"]["people"]) == (2, 1)
    ((cause, count),) = found["about"].pop("left out").items()
    assert f"photos/{name}" in cause and count == 2
    assert found["notes"] == ["2 items cannot be read, and are left out"]
    (tmp_path / "photos" / name).unlink()
    alone = json.loads(command("evaluate", *args, "--json").out)
    assert means(found) == means(alone)
    assert found["about"] == alone["about"]


def test_gaps_that_show(report, photos, tiny_weights, monkeypatch):
    monkeypatch.setattr(gap, "STEPS", 5)
    args = ("inpaint", "--data", photos, "--weights", tiny_weights("inpaint"), "--size", 32, "--baseline", "copy")
    found = means(report(*args, "--metrics", "gap-auc,gap-auc-true"))
    assert set(found) == {"inpaint", "copy"}
    assert all(0 <= value <= 1 for row in found.values() for value in row.values())
    assert found["inpaint"]["gap-auc-true"] == found["copy"]["gap-auc-true"], "the same holes in the same pictures"
    assert found["copy"]["gap-auc"] != found["copy"]["gap-auc-true"]


def test_folders_have_no_holes(refused, save, smooth_picture):
    save("a/x.png", smooth_picture(20, 20))
    assert "no holes" in refused(2, "evaluate", "dirs", "a", "a", "--metrics", "gap-auc")


def test_differences_are_those_of_the_means(report, photos, tiny_weights):
    two = ("--baseline", "telea", "--baseline", "biharmonic", "--metrics", "mse,psnr")
    found = report("inpaint", "--data", photos, "--weights", tiny_weights("inpaint"), "--size", 32, *two)
    all_items = means(found)
    pairs = {(c["one"], c["other"]) for c in found["comparisons"]}
    assert pairs == {("inpaint", "telea"), ("inpaint", "biharmonic"), ("telea", "biharmonic")}
    for c in found["comparisons"]:
        difference = all_items[c["one"]][c["metric"]] - all_items[c["other"]][c["metric"]]
        assert c["difference"] == pytest.approx(difference)
        assert c["interval"][0] - 1e-9 <= difference <= c["interval"][1] + 1e-9


def test_several_weights_on_the_same_items(report, photos, tiny_weights, tmp_path):
    copy = tmp_path / "run" / "weights.safetensors"
    copy.parent.mkdir()
    copy.write_bytes(tiny_weights("inpaint").read_bytes())
    both = ("--weights", tiny_weights("inpaint"), "--weights", copy, "--baseline", "telea")
    rows = means(report("inpaint", "--data", photos, *both, "--size", 32))
    assert list(rows) == ["inpaint", "run", "telea"]
    assert rows["run"] == rows["inpaint"]


def test_weights_named_like_a_baseline_are_called_by_their_path(report, photos, tiny_weights, tmp_path):
    file = tmp_path / "copy.safetensors"
    file.write_bytes(tiny_weights("inpaint").read_bytes())
    args = ("--weights", file, "--size", 32, "--baseline", "copy", "--metrics", "mse,mse")
    rows = means(report("inpaint", "--data", photos, *args))
    assert list(rows) == [str(file), "copy"]
    assert rows[str(file)] != rows["copy"]


def test_mean_picture_is_that_of_the_training_split(tiny_weights, save, smooth_picture, tmp_path):
    for number in range(20):
        held_out = is_held_out(f"{number}.png")
        save(f"grey/{number}.png", smooth_picture(40, 40) if held_out else np.full((40, 40, 3), 200, np.uint8))
    predictor = InpaintPredictor.from_weights(tiny_weights("inpaint"))
    data = [f"folder:{tmp_path}/grey"]
    batch = {key: value[None] for key, value in open_items(InpaintRecipe, predictor.config, data, "test")[0].items()}
    baselines = choose_baselines(InpaintRecipe, predictor, ["mean"], data, torch.device("cpu"))
    filled = baselines["mean"](batch)
    expected = torch.where(batch["known"] > 0, batch["image"], 200 / 127.5 - 1)
    assert torch.allclose(filled, expected, atol=1e-5)


def test_tables_on_the_terminal(command, photos, tiny_weights):
    ended = command("evaluate", "inpaint", "--data", photos, "--weights", tiny_weights("inpaint"), "--size", 32)
    assert ended.code == 0
    for word in ("thin", "thick", "telea", "psnr ↑", "mse ↓", "items: 4", "seed: 0", "95 %"):
        assert word in ended.out


@pytest.fixture
def labelled(photos, tmp_path):
    """The photos with a table: of the held-out ones, each of its own age."""
    held_out = [path.name for path in sorted((tmp_path / "photos").glob("*.png")) if is_held_out(path.name)]
    lines = ["file,age,light", f"{held_out[0]},[old],day", f"{held_out[1]},young,day"]
    (tmp_path / "photos" / "labels.csv").write_text("\n".join(lines))
    return photos


def test_rows_by_labels_and_the_worst_of_them(report, labelled, tiny_weights):
    args = ("inpaint", "--data", labelled, "--weights", tiny_weights("inpaint"), "--size", 32, "--baseline", "telea")
    found = report(*args, "--by", "age,light")
    rows = {(row["axis"], row["group"], row["method"]): row for row in found["rows"]}
    assert {group for axis, group, _ in rows if axis == "age"} == {"[old]", "young"}
    assert rows["light", "day", "telea"]["means"] == rows["all", "all", "telea"]["means"]
    for method in ("inpaint", "telea"):
        ages = {age: rows["age", age, method] for age in ("[old]", "young")}
        assert [row["items"] for row in ages.values()] == [2, 2]
        for metric, choose in (("mse", max), ("psnr", min)):
            (worst,) = (one for one in found["worst"] if (one["method"], one["metric"]) == (method, metric))
            assert worst["mean"] == choose(row["means"][metric] for row in ages.values())
            assert worst["mean"] == ages[worst["group"]]["means"][metric] and worst["axis"] == "age"
    assert report(*args)["worst"] == []


def test_the_worst_group_is_in_the_tables(command, labelled, tiny_weights, tmp_path):
    args = ("inpaint", "--data", labelled, "--weights", tiny_weights("inpaint"), "--size", 32, "--metrics", "mse")
    ended = command("evaluate", *args, "--by", "age", "--html", "page.html", "--csv", "a.csv")
    assert ended.code == 0
    page, table = ((tmp_path / name).read_text() for name in ("page.html", "a.csv"))
    lines = list(csv.DictReader(table.splitlines()))
    assert {line["group"] for line in lines if line["axis"] == "age"} == {"[old]", "young"}
    for text in (ended.out, page):
        assert "worst group" in text and ("[old] (2)" in text or "young (2)" in text)
    assert "[old]" in ended.out and "By age" in page


@pytest.mark.parametrize(("by", "words"), [("hair", "labels are: age, light"), ("age,hair", "labels are: age, light")])
def test_a_label_that_no_picture_has(refused, labelled, tiny_weights, by, words):
    args = ("inpaint", "--data", labelled, "--weights", tiny_weights("inpaint"), "--size", 32, "--by", by)
    assert words in refused(2, "evaluate", *args)


def test_labels_need_a_table(refused, photos, tiny_weights):
    args = ("inpaint", "--data", photos, "--weights", tiny_weights("inpaint"), "--size", 32, "--by", "age")
    assert "docs/evaluation.md" in refused(2, "evaluate", *args)


def test_tables_in_files(command, photos, tiny_weights, tmp_path):
    args = ("evaluate", "inpaint", "--data", photos, "--weights", tiny_weights("inpaint"), "--size", 32)
    assert command(*args, "--metrics", "mse,ssim", "--csv", "out/a.csv", "--latex", "out/a.tex").code == 0
    lines = list(csv.DictReader((tmp_path / "out/a.csv").read_text().splitlines()))
    assert len(lines) == 5 * 3 * 2
    assert {line["metric"] for line in lines} == {"mse", "ssim"}
    assert float(lines[0]["low"]) <= float(lines[0]["value"]) <= float(lines[0]["high"])
    latex = (tmp_path / "out/a.tex").read_text()
    assert latex.count("\\begin{tabular}") == latex.count("\\end{tabular}") == 2
    assert "mse $\\downarrow$" in latex
    assert "\\multicolumn{5}{c}{ssim $\\uparrow$}" in latex
    assert latex.count("\\textbf{") >= 2 + 4


def test_rows_of_frontalize(tiny_weights, shared):
    """A row per yaw; the baseline is the input as it is."""
    predictor = FrontalizePredictor.from_weights(tiny_weights("frontalize"))
    data = open_items(FrontalizeRecipe, predictor.config, [f"rotated:{shared}/data/london"], "test")
    batch = {key: value[None] for key, value in data[4].items()}
    assert predictor.groups(batch) == ["-15"]
    assert (predictor.baselines()["copy"](batch) == batch["image"]).all()
    mirrored, straight = (
        predictor.baselines()["mirror"](batch | {"yaw": yaw}) for yaw in (batch["yaw"], torch.zeros(1))
    )
    assert torch.allclose(mirrored, mirrored.flip(-1), atol=1e-5)
    assert torch.allclose(straight[..., 64:], batch["image"][..., 64:], atol=1e-5)
    assert (predictor.target(batch) == batch["target"]).all()
    made = predictor.predict(batch)
    assert made.shape == batch["target"].shape
    assert made.abs().max() <= 1


def test_baselines_of_inpaint_keep_what_is_known(tiny_weights, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    predictor = InpaintPredictor.from_weights(tiny_weights("inpaint"))
    data = open_items(InpaintRecipe, predictor.config, [photos], "test")
    batch = {key: value[None] for key, value in data[0].items()}
    known = batch["known"].expand_as(batch["image"]) > 0
    for name, method in {**predictor.baselines(), **predictor.slow_baselines(), "network": predictor.predict}.items():
        made = method(batch)
        assert (made - batch["image"])[known].abs().max() < 1e-6, name
        assert name == "copy" or (made - batch["image"])[~known].abs().mean() < 0.2, name


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("nothing", "--data", "folder:photos"), "no recipe is called 'nothing'"),
        (("inpaint", "--data", "folder:photos", "--metrics", "mse,beauty"), "beauty"),
        (("inpaint", "--data", "folder:photos", "--baseline", "magic"), "no baseline 'magic'"),
        (("inpaint", "--data", "folder:photos", "--identity", "psychic"), "no such network"),
        (("inpaint", "--data", "folder:photos", "--features", "vgg-99"), "no such network"),
        (("inpaint", "--data", "folder:nowhere"), "no such data folder"),
        (("inpaint", "--data", "nowhere"), "expected KIND:PATH"),
        (("inpaint", "--data", "folder:photos", "--device", "tpu"), "tpu"),
    ],
)
def test_wrong_settings(refused, photos, tiny_weights, args, words):
    assert words in refused(2, "evaluate", *args, "--weights", tiny_weights("inpaint"))


def test_bad_weights(refused, photos, bad_weights):
    path = bad_weights("inpaint")
    assert path.name in refused(4, "evaluate", "inpaint", "--data", photos, "--weights", path)


def test_dirs(report, save, smooth_picture):
    """By stem, whatever the suffix; sizes may differ from pair to pair, not within one."""
    for number, side in enumerate((40, 40, 52)):
        picture = smooth_picture(side, 30, number)
        save(f"truth/{number}.png", picture)
        save(f"made/{number}.bmp", np.minimum(picture, 250) + np.uint8(number))
    found = report("dirs", "made", "truth")
    (row,) = found["rows"]
    assert (row["method"], row["group"], row["items"]) == ("made/", "all", 3)
    assert 0 < row["means"]["mse"] < (5 / 255) ** 2
    assert row["means"]["ssim"] > 0.99


def test_dirs_below_dirs(report, refused, save, smooth_picture):
    """By the path below the folder, so that one name may be in several."""
    for number, name in enumerate(("a/x", "b/x", "b/c/y")):
        save(f"truth/{name}.png", smooth_picture(20, 20, number))
        save(f"made/{name}.bmp", smooth_picture(20, 20, number))
    (row,) = report("dirs", "made", "truth", "-r")["rows"]
    assert (row["items"], row["means"]["mse"]) == (3, 0)
    save("made/b/y.png", smooth_picture(20, 20))
    assert "truth has no picture called b/y" in refused(2, "evaluate", "dirs", "made", "truth", "-r")
    assert "look deeper with -r" in refused(5, "evaluate", "dirs", "made", "truth")


def test_equal_folders_have_no_finite_psnr(report, command, save, smooth_picture, tmp_path):
    for folder in ("a", "b"):
        save(f"{folder}/x.png", smooth_picture(20, 20))
    assert report("dirs", "a", "b")["rows"][0]["means"] == {"mse": 0, "psnr": None, "ssim": pytest.approx(1)}
    shown = command("evaluate", "dirs", "a", "b", "--html", "page.html", "--latex", "a.tex").out
    assert "∞" in shown and "nan" not in shown.lower()
    for name in ("page.html", "a.tex"):
        assert not re.search(r"\bnan\b", re.sub(r"data:[^\"]*", "", (tmp_path / name).read_text()))


@pytest.mark.parametrize(
    ("code", "fault", "words"),
    [
        (2, "missing folder", "no such folder"),
        (5, "empty folder", "no picture there"),
        (2, "other names", "b has no picture called x"),
        (2, "other size", "20 x 20 pixels"),
        (2, "tiny", "smaller than 11"),
        (2, "unreadable", "is not a picture"),
        (2, "twice", "two pictures called x"),
    ],
)
def test_dirs_that_cannot_be_compared(refused, save, smooth_picture, tmp_path, code, fault, words):
    side = 8 if fault == "tiny" else 20
    save("a/x.png", smooth_picture(side, side))
    if fault == "empty folder":
        (tmp_path / "b").mkdir()
    elif fault != "missing folder":
        name = "y" if fault == "other names" else "x"
        save(f"b/{name}.png", smooth_picture(24 if fault == "other size" else side, side))
    if fault == "unreadable":
        (tmp_path / "b/x.png").write_text("no picture")
    if fault == "twice":
        save("b/x.bmp", smooth_picture(side, side))
    assert words in refused(code, "evaluate", "dirs", "a", "b")


def test_missing_inception_is_a_note_and_the_rest_comes(report, photos, tiny_weights):
    args = ("inpaint", "--data", photos, "--weights", tiny_weights("inpaint"), "--size", 32, "--baseline", "telea")
    found = report(*args, "--metrics", "mse,fid,is")
    assert [column["name"] for column in found["columns"]] == ["mse"]
    (note,) = found["notes"]
    assert note.startswith("fid, is: left out, the file of the weights inception-v3-fid is not on this machine")
    assert "deform weights convert" in note


@pytest.mark.parametrize("metrics", ["fid", "fid,is", "rank1,perceptual"])
def test_metrics_without_their_networks_are_no_empty_table(refused, photos, tiny_weights, metrics):
    args = ("inpaint", "--data", photos, "--weights", tiny_weights("inpaint"), "--size", 32, "--metrics", metrics)
    assert "is not on this machine" in refused(4, "evaluate", *args, "--offline")


def test_fid_kid_and_is_from_a_file_of_inception(report, photos, tiny_weights, tmp_path, monkeypatch):
    """The whole way, with untrained weights: all three come, named and signed, and prefer the better picture."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    torch.manual_seed(0)
    torch.save({}, tmp_path / "nothing.pth")
    with monkeypatch.context() as patch:
        patch.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
        network = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], tmp_path / "nothing.pth")
    save_file(network.state_dict(), tmp_path / "inception.safetensors")
    args = ("--weights", tiny_weights("inpaint"), "--size", 32, "--masks", "strokes:thick", "--baseline", "copy")
    found = report("inpaint", "--data", photos, *args, "--features", "inception-v3-fid=inception.safetensors")
    columns = {column["name"]: column["network"] for column in found["columns"]}
    assert [columns[name] for name in ("fid", "kid", "is")] == ["inception-v3-fid"] * 3
    assert found["about"]["networks"] == {"inception-v3-fid": file_sha256(tmp_path / "inception.safetensors")}
    rows = means(found)
    assert 0 < rows["inpaint"]["fid"] < rows["copy"]["fid"]
    assert rows["inpaint"]["is"] > 1 - 1e-6, "1 is the least, but for rounding"


def test_a_network_that_is_named_must_be_there(refused, photos, tiny_weights):
    args = ("inpaint", "--data", photos, "--weights", tiny_weights("inpaint"), "--identity")
    assert "not on this machine" in refused(4, "evaluate", *args, "mobilefacenet")
    assert "not the weights of" in refused(4, "evaluate", *args, f"mobilefacenet={tiny_weights('inpaint')}")


@pytest.fixture
def networks(tmp_path) -> dict[str, Path]:
    """Untrained helper networks as files."""
    torch.manual_seed(0)
    files = {"mobilefacenet": MobileFaceNet(), "vgg-19-compact": CompactVGG19Features()}
    for name, network in files.items():
        save_file(network.state_dict(), tmp_path / f"{name}.safetensors")
    return {name: tmp_path / f"{name}.safetensors" for name in files}


def test_lpips_needs_both_its_networks(report, refused, save, smooth_picture, tmp_path, monkeypatch):
    torch.manual_seed(0)
    weights = {name: value.abs() for name, value in LpipsWeights().state_dict().items()}
    save_file(weights, tmp_path / "lpips.safetensors")
    save_file(VGG16LpipsFeatures().state_dict(), tmp_path / "vgg.safetensors")
    for number in range(2):
        save(f"truth/{number}.png", smooth_picture(32, 32, number))
        save(f"made/{number}.png", smooth_picture(32, 32, 2 * number))
    args = ("dirs", "made", "truth", "--metrics", "lpips", "--lpips", "lpips-vgg=lpips.safetensors")
    assert "vgg-16" in refused(4, "evaluate", *args)
    found = report(*args, "--perceptual", "vgg-16=vgg.safetensors")
    assert {"lpips-vgg", "vgg-16"} == found["about"]["networks"].keys()
    assert {column["name"]: column["network"] for column in found["columns"]}["lpips"] == "lpips-vgg"
    assert found["rows"][0]["means"]["lpips"] > 0
    (note,) = report("dirs", "made", "truth", "--metrics", "mse,lpips")["notes"]
    assert note.startswith("lpips: left out, the file of the weights lpips-vgg is not on this machine")


def test_sets_that_are_no_pairs(report, refused, save, smooth_picture, networks):
    """Of other names, numbers and sizes; a set is nearer to its like than to another."""
    for number in range(6):
        save(f"truth/{number}.png", smooth_picture(40, 40, number))
        save(f"like/deep/{number}.bmp", np.minimum(smooth_picture(40, 40, number), 250))
    for number in range(4):
        save(f"other/{number}.png", 255 - smooth_picture(48, 36, number + 50))
    spec = f"vgg-19-compact={networks['vgg-19-compact']}"

    def distance(made: str, *args: str) -> float:
        found = report("dirs", made, "truth", "--unpaired", "--features", spec, *args)
        assert any(note.startswith("fid, kid: left out") for note in found["notes"])
        assert found["about"]["unpaired"] == f"{4 if made == 'other' else 6} against 6 pictures"
        (row,) = found["rows"]
        assert row["means"].keys() == {"frechet vgg-19-compact"}
        return row["means"]["frechet vgg-19-compact"]

    same, like, other = distance("truth"), distance("like", "-r"), distance("other")
    assert same == pytest.approx(0, abs=1e-5) and same < like < other / 2
    for wrong in (("--metrics", "mse"), ("--html", "page.html")):
        assert "--unpaired" in refused(
            2, "evaluate", "dirs", "other", "truth", "--unpaired", "--features", spec, *wrong
        )


def test_networks_measure_and_sign(report, photos, tiny_weights, networks):
    """Likeness, Rank-1, perceptual and Frechet distances; every number names its network and the file's sha256."""
    face, look = (f"{name}={path}" for name, path in networks.items())
    chosen = ("--identity", face, "--perceptual", look, "--features", look, "--features", face, "--metrics", "mse")
    args = ("--data", photos, "--weights", tiny_weights("inpaint"), "--size", 64, "--baseline", "copy")
    found = report("inpaint", *args, *chosen)
    columns = {column["name"]: column for column in found["columns"]}
    assert {name: column["network"] for name, column in columns.items()} == {
        "mse": "",
        "identity": "mobilefacenet",
        "rank1": "mobilefacenet",
        "perceptual": "vgg-19-compact",
        "style": "vgg-19-compact",
        "frechet vgg-19-compact": "vgg-19-compact",
        "frechet mobilefacenet": "mobilefacenet",
    }
    assert found["about"]["networks"] == {name: file_sha256(path) for name, path in networks.items()}
    rows = means(found)
    for name, column in columns.items():
        if name not in ("rank1", "identity"):  # to an untrained embedder everybody is the same person
            better = min if column["lower_is_better"] else max
            values = {method: row[name] for method, row in rows.items()}
            assert better(values, key=values.get) == "inpaint", f"{name} prefers holes: {values}"
    assert any("below 2048" in note for note in found["notes"])
