"""How many turned faces each detector finds, by angle: python benchmarks/faces.py --portraits DIR --heads DIR

DIR of portraits: photos with a facemesh.npz, which are turned in 2.5D at their own framing, background and all, to
either side. DIR of heads: what `deform synthesize heads --angles multipie` made, crops that the face fills. A face
counts as found where the crop of the largest that the detector sees and the crop of training overlap by half
(intersection over union).
"""

from __future__ import annotations

import argparse
import json
import tarfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch

from deformcli.data import rendered, turning
from deformcli.faces import SIZE, Square, eyes_and_mouth, frame_around, square_around
from deformcli.faces.detect import SMALLEST, SURE, Face, Mtcnn, YuNet

ANGLES = (15, 30, 45, 60, 75, 90)
FRONTAL = 4  # degrees of yaw of the portraits that are turned

Find = Callable[[np.ndarray], Sequence[Face]]


class Turned(NamedTuple):
    """A picture (H, W, 3) uint8 with a face that is turned by `yaw` degrees, and what training would cut out of it."""

    picture: np.ndarray
    framed: Square
    yaw: float


def turn(photo: np.ndarray, points: np.ndarray, yaw: float) -> Turned:
    """A photo (H, W, 3) with its head, of the mesh `points` (468, 3) in pixels, turned in its place."""
    head = turning.lay_out(photo, points)
    turned = turning.turn(head, yaw, 0, 0)
    to_world = turning._to_world(points)
    from_world = np.linalg.inv(to_world[:, :2])
    world = (np.indices(photo.shape[:2])[::-1] + 0.5).transpose(1, 2, 0) @ to_world[:, :2].T + to_world[:, 2]
    at = torch.from_numpy(world).float().permute(2, 0, 1)[None]
    layers = torch.cat([turned.displacement, turned.seen])[None]
    displacement, seen = np.split(turning._sample(layers, at, "nearest")[0].permute(1, 2, 0).numpy(), [2], 2)
    there = world + displacement
    source = ((there - to_world[:, 2]) @ from_world.T - 0.5).astype(np.float32)
    moved = cv2.remap(photo, source, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    backdrop = turning._sample(head.backdrop[None].float(), at)[0].permute(1, 2, 0).numpy()
    picture = np.where(seen > 0, moved, backdrop).round().astype(np.uint8)
    left, right, mouth = eyes_and_mouth(turned.mesh)
    side, corner = frame_around((left + right) / 2, mouth, turned.mesh[:, 0], None)
    middle = (corner + side / 2 - to_world[:, 2]) @ from_world.T - 0.5
    return Turned(picture, Square(*middle, side / np.linalg.norm(to_world[:, 0])), yaw)


def portraits(root: Path, count: int, angles: Sequence[float] = ANGLES) -> Iterable[Turned]:
    """About `count` near-frontal portraits, each turned to either side by each angle."""
    data = np.load(root / "facemesh.npz")
    near = np.flatnonzero(np.abs(data["yaw_pitch_roll_2d"][:, 0]) < FRONTAL)
    for index in near[:: max(1, len(near) // count)]:
        photo = cv2.cvtColor(cv2.imread(str(root / data["name"][index])), cv2.COLOR_BGR2RGB)
        for yaw in (side * angle for angle in angles for side in (-1, 1)):
            yield turn(photo, data["points"][index].astype(float), yaw)


def heads(root: Path) -> Iterable[Turned]:
    """Every view of a set of rendered heads."""
    whole = Square((SIZE - 1) / 2, (SIZE - 1) / 2, SIZE)
    for line in (root / rendered.INDEX).read_text().splitlines():
        about = json.loads(line)
        with tarfile.open(rendered.person_file(root, about["identity"])) as tar:
            data = tar.extractfile(f"{about['key']}.image.png").read()
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        yield Turned(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), whole, about["yaw"])


def is_found(faces: Sequence[Face], framed: Square) -> bool:
    """Whether the crop of the largest face and the one of training share half of what either covers."""
    if not faces:
        return False
    square = square_around(faces[0])
    reach = (square.side + framed.side) / 2
    shared = [
        max(0.0, min(square.side, framed.side, reach - abs(there - here)))
        for here, there in ((square.x, framed.x), (square.y, framed.y))
    ]
    both = shared[0] * shared[1]
    return both / (square.side**2 + framed.side**2 - both) >= 0.5


def table(views: Iterable[Turned], detectors: dict[str, Find]) -> None:
    """Print the share of each detector at each angle, to the nearest of ANGLES."""
    hits: dict[str, dict[int, list[bool]]] = {name: {} for name in detectors}
    for picture, framed, yaw in views:
        angle = min((0, *ANGLES), key=lambda angle: abs(abs(yaw) - angle))
        for name, find in detectors.items():
            hits[name].setdefault(angle, []).append(is_found(find(picture), framed))
    for name, by_angle in hits.items():
        shares = "   ".join(f"{angle}: {100 * np.mean(by_angle[angle]):.0f} %" for angle in sorted(by_angle))
        print(f"{name:34} {shares}")
    print(f"of {', '.join(f'{len(by_angle[angle])} at {angle}' for angle in sorted(by_angle))} degrees")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--portraits", type=Path)
    parser.add_argument("--heads", type=Path)
    parser.add_argument("--yunet", type=Path, help="its ONNX file; see `deform weights info yunet`")
    parser.add_argument("--count", type=int, default=30, help="portraits")
    options = parser.parse_args()
    mtcnn = Mtcnn()
    detectors: dict[str, Find] = {
        "MTCNN at its authors' thresholds": lambda picture: mtcnn._detect(picture, SURE, SMALLEST),
        "MTCNN as deform uses it": mtcnn.find,
    }
    if options.yunet:
        detectors["YuNet"] = YuNet(options.yunet).find
    if options.portraits:
        table(portraits(options.portraits, options.count), detectors)
    if options.heads:
        table(heads(options.heads), detectors)


if __name__ == "__main__":
    main()
