"""Wide holes: `deform inpaint` beside PatchMatch, a shift map, Telea and the biharmonic fill, on ten jobs of a user.

    python benchmarks/inpaint_jobs.py [--street DIR] [--vgg FILE] [--sheet FILE.jpg] [--weights ID|FILE] [--only NAME]

Objects to remove, texture to continue and a watermark, on photos that come with scikit-image; with --street, boxes and
blobs on held-out photos of a folder too. Prints, for each job and method: the seconds, sharpness in the hole as a share
of the original's, PSNR and SSIM in the hole's box, and with --vgg (a state dict of VGG-19's features, torchvision's
keys) the style and the perceptual distance there. Removing an object is measured against the picture with it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import skimage.data
import torch
from torch import Tensor, nn

from deform_inpaint.inpainter import Inpainter
from deform_inpaint.searched import by_offsets, by_patches
from deformcli.data.folder import picture_files
from deformcli.data.masks import object_known
from deformcli.data.splits import is_held_out
from deformcli.images import read_image, to_tensor, to_uint8
from deformcli.metrics import hole_psnr, hole_sharpness, ssim
from deformcli.metrics.perceptual import perceptual_distance, style_distance
from deformcli.models.embedders import IMAGENET_MEAN, IMAGENET_STD
from deformcli.warp import smooth_fill
from deformcli.weights import resolve_weights

CONTEXT = 40  # pixels around a hole on the contact sheet
CELL = 240  # pixels, the width of a picture there
STREET = 10  # photos, at most
PINK = (255, 0, 255)

Batch = dict[str, Tensor]
Method = Callable[[Batch], Tensor]


class Job(NamedTuple):
    name: str
    picture: np.ndarray  # (H, W, 3) uint8
    holes: np.ndarray  # (H, W) uint8, above 0 = to fill


def polygon(picture: np.ndarray, *points: tuple[int, int]) -> np.ndarray:
    return cv2.fillPoly(np.zeros(picture.shape[:2], np.uint8), [np.array(points, np.int32)], 255)


def box(picture: np.ndarray, x: int, y: int, width: int, height: int) -> np.ndarray:
    return polygon(picture, (x, y), (x + width - 1, y), (x + width - 1, y + height - 1), (x, y + height - 1))


def lines(picture: np.ndarray, width: int, *ends: tuple[tuple[int, int], tuple[int, int]]) -> np.ndarray:
    mask = np.zeros(picture.shape[:2], np.uint8)
    for start, end in ends:
        cv2.line(mask, start, end, 255, width)
    return mask


def jobs() -> Iterator[Job]:
    """Ten, on photos of 512 to 741 pixels that are in scikit-image's package."""
    grey = {name: cv2.cvtColor(getattr(skimage.data, name)(), cv2.COLOR_GRAY2RGB) for name in GREY}
    rocket, astronaut, coffee = skimage.data.rocket(), skimage.data.astronaut(), skimage.data.coffee()
    motorcycle = skimage.data.stereo_motorcycle()[0]
    upper = (318, 116), (332, 116), (344, 160), (344, 300)
    lower = (362, 360), (362, 408), (284, 408), (284, 360), (300, 300), (300, 160)
    yield Job("rocket", rocket, polygon(rocket, *upper, *lower))
    legs = ((293, 240), (293, 487)), ((288, 325), (233, 511)), ((298, 320), (405, 511))
    yield Job(
        "tripod", grey["camera"], lines(grey["camera"], 26, *legs, ((300, 322), (335, 303)), ((250, 463), (300, 485)))
    )
    yield Job("tower", grey["camera"], box(grey["camera"], 402, 106, 38, 92))
    outline = (372, 0), (470, 0), (480, 288), (344, 288), (344, 190), (368, 70)
    yield Job("shuttle", astronaut, polygon(astronaut, *outline))
    yield Job("flag", astronaut, box(astronaut, 8, 40, 80, 80))
    spoon = lines(coffee, 24, ((375, 245), (394, 200)))
    yield Job("spoon", coffee, cv2.circle(spoon, (364, 284), 48, 255, -1))
    yield Job("grass", grey["grass"], box(grey["grass"], 176, 176, 160, 160))
    yield Job("gravel", grey["gravel"], box(grey["gravel"], 192, 192, 128, 128))
    yield Job("bricks", grey["brick"], box(grey["brick"], 192, 192, 128, 128))
    watermark = np.zeros(motorcycle.shape[:2], np.uint8)
    yield Job("watermark", motorcycle, cv2.putText(watermark, "SAMPLE", (60, 300), cv2.FONT_HERSHEY_DUPLEX, 5, 255, 26))


GREY = ("camera", "grass", "gravel", "brick")


def street(folder: Path) -> Iterator[Job]:
    """Held-out photos of a folder, an object's hole in each."""
    kept = [path for path in picture_files(folder) if is_held_out(path)]
    for number, path in enumerate(kept[:: max(1, len(kept) // STREET)][:STREET]):
        picture = read_image(path).rgb8
        side = min(picture.shape[:2])
        holes, top = np.zeros(picture.shape[:2], np.uint8), (picture.shape[0] - side) // 2
        holes[top : top + side, :side] = 255 * (1 - object_known(np.random.default_rng(number), side))
        yield Job(path.stem, picture, holes)


def methods(weights: str) -> dict[str, Method]:
    inpainter = Inpainter.from_weights(resolve_weights(weights, task="inpaint", offline=True), torch.device("cpu"))

    def telea(batch: Batch) -> Tensor:
        return to_tensor(cv2.inpaint(to_uint8(batch["image"][0]), holes_of(batch), 3, cv2.INPAINT_TELEA))

    def deform(batch: Batch) -> Tensor:
        return to_tensor(inpainter(to_uint8(batch["image"][0]), holes_of(batch) == 0))

    def biharmonic(batch: Batch) -> Tensor:
        return smooth_fill(batch["image"], batch["known"]).clamp(-1, 1)

    return {
        "deform": deform,
        "patchmatch": by_patches,
        "shift-map": by_offsets,
        "telea": telea,
        "biharmonic": biharmonic,
    }


def holes_of(batch: Batch) -> np.ndarray:
    return (batch["known"][0, 0] == 0).byte().numpy()


class VGG19(nn.Module):
    """relu1_1, relu2_1 and relu3_1 of VGG-19 by a state dict of torchvision's keys."""

    LAYERS = ((0, 3, 64), (2, 64, 64), (5, 64, 128), (7, 128, 128), (10, 128, 256))

    def __init__(self, path: Path) -> None:
        super().__init__()
        state = torch.load(path, weights_only=True)
        state = {key.removeprefix("features."): value for key, value in state.items()}
        self.convolutions = nn.ModuleList(nn.Conv2d(before, after, 3, padding=1) for _, before, after in self.LAYERS)
        for (index, *_), convolution in zip(self.LAYERS, self.convolutions, strict=True):
            convolution.load_state_dict({part: state[f"{index}.{part}"] for part in ("weight", "bias")})
        self.eval().requires_grad_(False)

    def forward(self, image: Tensor) -> list[Tensor]:
        mean, deviation = (image.new_tensor(value).view(1, 3, 1, 1) for value in (IMAGENET_MEAN, IMAGENET_STD))
        x, features = ((image + 1) / 2 - mean) / deviation, []
        for number, convolution in enumerate(self.convolutions):
            if number in (2, 4):
                x = nn.functional.max_pool2d(x, 2)
            x = convolution(x).relu()
            if number in (0, 2, 4):
                features.append(x)
        return features


def measure(made: Tensor, batch: Batch, target: Tensor, vgg: VGG19 | None) -> dict[str, float]:
    """The numbers of one picture; those of a picture are of the box around its holes."""
    x, y, width, height = cv2.boundingRect(holes_of(batch))
    cut, true = (picture[..., y : y + height, x : x + width] for picture in (made, target))
    found = {
        "sharpness": hole_sharpness(made, target, batch["known"]),
        "psnr": hole_psnr(made, target, batch["known"]),
        "ssim": ssim(cut, true),
    }
    if vgg:
        features = vgg(cut), vgg(true)
        found |= {"style": style_distance(*features), "perceptual": perceptual_distance(*features)}
    return {name: float(value) for name, value in found.items()}


def row_of_sheet(job: Job, made: dict[str, Tensor]) -> np.ndarray:
    """The original, the hole, and what each method made, around the hole."""
    x, y, width, height = cv2.boundingRect(job.holes)
    place = slice(max(y - CONTEXT, 0), y + height + CONTEXT), slice(max(x - CONTEXT, 0), x + width + CONTEXT)
    holed = np.where(job.holes[..., None] > 0, np.uint8(PINK), job.picture)
    cells = [picture[place] for picture in (job.picture, holed, *(to_uint8(one[0]) for one in made.values()))]
    tall = round(CELL * cells[0].shape[0] / cells[0].shape[1])
    return np.hstack([cv2.resize(cell, (CELL, tall), interpolation=cv2.INTER_AREA) for cell in cells])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--street", type=Path, help="a folder of photos; those held out get a hole each")
    parser.add_argument(
        "--vgg", type=Path, help="weights of VGG-19 up to conv3_1, for the style and perceptual distances"
    )
    parser.add_argument("--sheet", type=Path, help="where to write a contact sheet")
    parser.add_argument("--weights", default="inpaint-128")
    parser.add_argument("--only", action="append", help="the name of a job; may be given again")
    options = parser.parse_args()
    vgg, compared, rows = VGG19(options.vgg) if options.vgg else None, methods(options.weights), []
    sums: dict[str, list[dict[str, float]]] = {name: [] for name in compared}
    for job in [*jobs(), *(street(options.street) if options.street else ())]:
        if options.only and job.name not in options.only:
            continue
        known, made = torch.from_numpy((job.holes == 0).astype(np.float32))[None, None], {}
        target = to_tensor(job.picture)
        print(f"{job.name}, {job.picture.shape[1]} x {job.picture.shape[0]}, {int((known == 0).sum())} pixels to fill")
        for name, method in compared.items():
            start = time.perf_counter()
            made[name] = method({"image": target * known, "known": known})
            seconds = time.perf_counter() - start
            found = measure(made[name], {"known": known}, target, vgg)
            sums[name].append(found)
            print(f"  {name:12}{seconds:6.1f} s", *(f"{key} {value:6.2f}" for key, value in found.items()), sep="  ")
        rows.append(row_of_sheet(job, made))
    print("mean")
    for name, found in sums.items():
        print(f"  {name:20}", *(f"{key} {np.mean([one[key] for one in found]):6.2f}" for key in found[0]), sep="  ")
    if options.sheet:
        cv2.imwrite(str(options.sheet), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))


if __name__ == "__main__":
    main()
