"""`make weights`, in small: from raw data to weights that the commands take."""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

from deformcli.data.splits import is_held_out

from .conftest import ROOT, clean_environment

TINY = "--steps 2 --batch-size 2 --eval-every 0 --set training.start_size=0 --set training.size=64"
FRONTALIZE = "--set generator.regressor_widths=4,4,6,6,8 --set flow_warmup=1 --set training.adversarial_from=1"
INPAINT = "--set generator.merger_widths=4,6,8 --set generator.regressor_width=4"
FOLDERS = {"portraits": "portraits", "london": "london", "street": "street", "fairface": "fairface/frontal"}


def few_photos(source: Path, target: Path) -> list[str]:
    """Links to three photos that train and one that tests, with their meshes if there are any; their names."""
    meshes = dict(np.load(source / "facemesh.npz")) if (source / "facemesh.npz").is_file() else {}
    names = [str(name) for name in meshes.get("name", sorted(path.name for path in source.glob("*.jpg")))]
    turned = np.abs(meshes["yaw_pitch_roll_2d"][:, 0]) if meshes else np.zeros(len(names))
    frontal = [i for i, yaw in enumerate(turned) if yaw < 8]
    training = [i for i in frontal if not is_held_out(names[i])][:3]
    chosen = [*training, next(i for i in frontal if is_held_out(names[i]))]
    for i in chosen:
        (target / names[i]).parent.mkdir(parents=True, exist_ok=True)
        (target / names[i]).symlink_to(source / names[i])
    if meshes:
        np.savez(target / "facemesh.npz", **{key: value[chosen] for key, value in meshes.items()})
    return [names[i] for i in chosen]


def views_of(frontal: list[str], source: Path, target: Path) -> None:
    """Links to the turned photos that go with frontal ones, and a table of them."""
    with (source / "views.csv").open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    kept = [row for row in rows if row[header.index("frontal")] in frontal]
    for name in (row[header.index("file")] for row in kept):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).symlink_to(source / name)
    with (target / "views.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *kept])
    shutil.copy(source / "facemesh.npz", target)


def test_from_raw_data_to_weights(shared, tmp_path):
    names = {
        folder: few_photos(shared / "data" / source, tmp_path / "photos" / folder) for folder, source in FOLDERS.items()
    }
    views_of(names["london"], shared / "data" / "london-views", tmp_path / "photos" / "london-views")
    program = tmp_path / "bin" / "deform"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m deformcli "$@"\n')
    program.chmod(0o755)
    settings = {
        "BIN": program.parent,
        "PHOTOS": tmp_path / "photos",
        "ASSETS": shared / "assets" / "makehuman",
        "IDENTITY": shared / "weights" / "mobilefacenet_foamliu.pth",
        "PERCEPTUAL": shared / "weights" / "vgg19_cd16x_r51.pth",
        "WORK": tmp_path / "work",
        "HEADS": "--identities 2 --views 2 --size 64",
        "TURNS": "--views 2 --size 64",
        "FRONTALIZE": f"{TINY} {FRONTALIZE}",
        "FINETUNE": f"{TINY} {FRONTALIZE}",
        "INPAINT": f"{TINY} {INPAINT}",
    }
    environment = clean_environment(tmp_path) | {"DEFORM_LOAD_PLUGINS": "synthesize,train,evaluate,frontalize,inpaint"}
    words = [f"{key}={value}" for key, value in settings.items()]
    command = ["make", "weights", *words]
    done = subprocess.run(command, check=False, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    made = {path.name for path in (tmp_path / "work").iterdir()}
    assert {"frontalize-128.safetensors", "inpaint-128.safetensors", "frontalize.html", "inpaint.html"} <= made
    assert "mirror" in done.stdout and "biharmonic" in done.stdout
