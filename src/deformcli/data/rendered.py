"""Pairs that were made beforehand (`deform synthesize`): a folder with `index.jsonl` and a tar for each person.

A tar holds samples as WebDataset names them, KEY.PART: `image.png`, `target.png`, `flow.npy` (2, S, S) float16 in
pixels, `seen.png` and `face.png` (0 to 255), `json`. A line of the index is that json: at least `identity`, `key` and
`yaw` in degrees.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from deformcli.errors import UsageError
from deformcli.images import from_unit, to_tensor, to_unit
from deformcli.runtime.storage import write_atomic

from .files import decode_picture
from .sources import Pair, Pairs, Pictures
from .splits import person, split_of

INDEX = "index.jsonl"
PICTURES = ("image.png", "target.png", "seen.png", "face.png")
REMEDY = "make the set anew with deform synthesize"


class Sample(NamedTuple):
    """A pair as it is stored, S pixels wide."""

    image: np.ndarray  # (S, S, 3) uint8, turned
    target: np.ndarray  # (S, S, 3) uint8, from the front
    flow: np.ndarray  # (2, S, S) float16, pixels, from image to target
    seen: np.ndarray  # (S, S) of image: 1 where the flow leads to what is visible in the target
    face: np.ndarray  # (S, S) of target: 1 on the head, 0 on the background
    about: Mapping[str, Any]  # yaw and what else is known


def write_person(root: Path, identity: str, samples: Sequence[Sample]) -> None:
    """Write a person's tar, whole or not at all."""
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as tar:
        for number, sample in enumerate(samples):
            key = f"{identity}-{number:02d}"
            for part, data in _encode(sample, {"identity": identity, "key": key, **sample.about}).items():
                entry = tarfile.TarInfo(f"{key}.{part}")
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
    write_atomic(person_file(root, identity), held.getvalue())


def person_file(root: Path, identity: str) -> Path:
    return root / "people" / f"{identity}.tar"


def _encode(sample: Sample, about: Mapping[str, Any]) -> dict[str, bytes]:
    flow = io.BytesIO()
    np.save(flow, sample.flow.astype(np.float16), allow_pickle=False)
    return {
        "image.png": _png(sample.image[..., ::-1]),
        "target.png": _png(sample.target[..., ::-1]),
        "flow.npy": flow.getvalue(),
        "seen.png": _png(np.uint8(255) * (sample.seen > 0)),
        "face.png": _png(from_unit(sample.face)),
        "json": json.dumps(about).encode(),
    }


def _png(picture: np.ndarray) -> bytes:
    return cv2.imencode(".png", np.ascontiguousarray(picture))[1].tobytes()


def write_index(root: Path) -> int:
    """Write the index of all people whose tars are there, if there are any; returns how many samples it lists."""
    lines = [json.loads(_read(path, key, "json")) for path in sorted(root.glob("people/*.tar")) for key in _keys(path)]
    if lines:
        write_atomic(root / INDEX, "".join(json.dumps(line) + "\n" for line in lines).encode())
    return len(lines)


def read_index(root: Path, split: str) -> Iterator[tuple[Path, str, float]]:
    """Tar, key and yaw of a split's samples. Raises UsageError if there is no index, or it is damaged."""
    try:
        lines = (root / INDEX).read_text("utf-8").splitlines()
        entries = [(str(e["identity"]), str(e["key"]), float(e["yaw"])) for e in map(json.loads, lines)]
    except OSError as error:
        raise UsageError(f"{root}: no {INDEX} there", "name a folder that deform synthesize has written") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{root / INDEX}: damaged", REMEDY) from error
    for identity, key, yaw in entries:
        if Path(identity).name != identity:
            raise UsageError(f"{root / INDEX}: {identity!r} is no name of a person", REMEDY)
        if split_of(identity) == split:
            yield person_file(root, identity), key, yaw


def _places(path: Path) -> Mapping[str, tuple[int, int]]:
    """Where a tar's members lie: name -> offset and size. Raises UsageError if it cannot be read."""
    try:
        return _scan(path, path.stat().st_mtime_ns)
    except (OSError, tarfile.TarError) as error:
        raise UsageError(f"{path} cannot be read: {error}", REMEDY) from error


@lru_cache(maxsize=100_000)
def _scan(path: Path, changed: int) -> Mapping[str, tuple[int, int]]:
    with tarfile.open(path) as tar:
        return {member.name: (member.offset_data, member.size) for member in tar.getmembers() if member.isfile()}


def _keys(path: Path) -> list[str]:
    return sorted(name.removesuffix(".json") for name in _places(path) if name.endswith(".json"))


def _read(path: Path, key: str, part: str) -> bytes:
    offset, size = _places(path).get(f"{key}.{part}", (0, 0))
    with open(path, "rb") as file:
        file.seek(offset)
        return file.read(size)


def read_pair(path: Path, key: str) -> Pair:
    """A stored pair. Raises UsageError naming what is damaged."""
    image, target = (decode_picture(_read(path, key, part), f"{path}: {key}.{part}") for part in PICTURES[:2])
    seen, face = (decode_picture(_read(path, key, part), f"{path}: {key}.{part}")[..., 0] for part in PICTURES[2:])
    try:
        flow = np.load(io.BytesIO(_read(path, key, "flow.npy")), allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise UsageError(f"{path}: {key}.flow.npy is missing or damaged", REMEDY) from error
    if not {image.shape[:2], target.shape[:2], seen.shape, face.shape} == {flow.shape[1:]}:
        raise UsageError(f"{path}: the parts of {key} differ in size", REMEDY)
    return Pair(
        image=to_tensor(image[..., :3])[0],
        target=to_tensor(target[..., :3])[0],
        flow=torch.from_numpy(flow).float(),
        seen=torch.from_numpy(seen > 127)[None].float(),
        face=torch.from_numpy(to_unit(face))[None],
    )


def resized(pair: Pair, size: int) -> Pair:
    """The pair at another size: pictures averaged, flow and visibility of the nearest pixel, never between surfaces."""
    old = pair.image.shape[-1]
    if old == size:
        return pair
    mode = "area" if size < old else "bilinear"
    at = ((torch.arange(size) + 0.5) * old / size).long()
    image, target, face = (
        F.interpolate(x[None], (size, size), mode=mode)[0] for x in (pair.image, pair.target, pair.face)
    )
    return Pair(image, target, pair.flow[:, at][:, :, at] * (size / old), pair.seen[:, at][:, :, at], face)


class RenderedPairs(Pairs):
    """The pairs of a split; `pictures` are the frontal ones, one of each person."""

    def __init__(self, root: str, split: str) -> None:
        self.samples = list(read_index(Path(root), split))
        if not self.samples:
            raise UsageError(f"{root}: no pair for the {split} split", "make more people with deform synthesize")
        self.pictures = _Frontals(list({path: key for path, key, _ in self.samples}.items()))

    def __len__(self) -> int:
        return len(self.samples)

    def name(self, index: int) -> str:
        return f"{self.samples[index][0]}: {self.samples[index][1]}"

    def identity(self, index: int) -> str:
        return person(self.samples[index][0].stem)

    def limit_yaw(self, most: float) -> None:
        self.samples = [sample for sample in self.samples if abs(sample[2]) <= most]

    def pair(self, index: int, size: int, rng: np.random.Generator | None) -> Pair:
        path, key, yaw = self.samples[index]
        return resized(read_pair(path, key), size)._replace(yaw=yaw)


class _Frontals(Pictures):
    def __init__(self, people: Sequence[tuple[Path, str]]) -> None:
        self.people = people

    def __len__(self) -> int:
        return len(self.people)

    def read(self, index: int) -> np.ndarray:
        path, key = self.people[index]
        return decode_picture(_read(path, key, "target.png"), f"{path}: {key}.target.png")

    def name(self, index: int) -> str:
        return str(self.people[index][0])

    def identity(self, index: int) -> str:
        return person(self.people[index][0].stem)
