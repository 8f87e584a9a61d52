"""Makes a set of pairs person by person, over processes; what is finished stays, what is missing is made."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import typer

from deformcli.data import Sample, make_pair, person_file, read_head, write_index, write_person
from deformcli.errors import DeformError, PartialError, UsageError
from deformcli.images import to_uint8
from deformcli.runtime import bar, log, write_atomic, writing

MULTIPIE = tuple(range(-90, 91, 15))


@dataclass(frozen=True)
class SetConfig:
    """What every person's entry of a set has in common."""

    out: Path
    kind: str  # "heads" or "photos"
    views: int
    yaw: float  # largest turn, degrees
    angles: str  # "continuous" or "multipie"
    size: int  # pixels
    seed: int

    def random(self, identity: str) -> np.random.Generator:
        """A person's random numbers: the same whoever makes them, and whenever."""
        return np.random.default_rng((self.seed, *identity.encode()))

    def draw_angles(self, rng: np.random.Generator) -> list[tuple[float, float, float]]:
        """Yaw, pitch and roll of each view: yaws spread over the whole range."""
        if self.angles == "multipie":
            cameras = [yaw for yaw in MULTIPIE if abs(yaw) <= self.yaw]
            chosen = rng.permutation(cameras * -(-self.views // len(cameras)))[: self.views]
            return [(float(yaw), 0.0, 0.0) for yaw in chosen]
        spread = (rng.permutation(self.views) + rng.random(self.views)) / self.views
        yaws = (2 * spread - 1) * self.yaw
        return [(float(yaw), float(rng.normal(0, 6)), float(rng.normal(0, 3))) for yaw in yaws]


class Unreadable(UsageError):
    """A person's own picture cannot be read; the others are made nevertheless."""


Make = Callable[[SetConfig, str], list[Sample]]
"""Makes a person's samples; a function at the top of a module, so that it passes to other processes."""


def produce(config: SetConfig, people: Sequence[str], make: Make, workers: int, progress: bool) -> None:
    """Write the tars of all people that are not there yet, then the index.

    Raises:
        UsageError: the folder holds a set made otherwise, or a size that does not fit.
        PartialError: some people's pictures cannot be read; the others are there.
        Unreadable: none can.
        DeformError: the folder cannot be written to.
    """
    _check(config)
    missing = [identity for identity in people if not person_file(config.out, identity).exists()]
    unreadable: list[Unreadable] = []
    with writing(config.out, "free some space, or name another folder with --out, and run it again"):
        try:
            with bar(len(people), len(people) - len(missing), wanted=progress) as advance:
                for failed in _work(config, missing, make, workers):
                    unreadable += [failed] if failed else []
                    advance()
        finally:
            count = write_index(config.out)
    made = len(people) - len(unreadable)
    log.info("%s people, %s pairs in %s", made, count, config.out)
    for error in unreadable:
        typer.echo(f"  {error.cause}", err=True)
    if unreadable and not made:
        raise unreadable[0]
    if unreadable:
        raise PartialError(f"{len(unreadable)} of {len(people)} photos cannot be read", "repair or remove them")


def _check(config: SetConfig) -> None:
    if config.size % 4:
        raise UsageError(f"--size {config.size}: not a multiple of 4", f"use {4 * round(config.size / 4)}")
    file, wanted = config.out / "set.json", {k: v for k, v in asdict(config).items() if k != "out"}
    try:
        stored = json.loads(file.read_text("utf-8")) if file.exists() else {}
        if wanted | stored != wanted:
            raise UsageError(f"{config.out} holds a set made with other options", "name another folder with --out")
        write_atomic(file, json.dumps(wanted).encode())
    except (OSError, ValueError, TypeError) as error:
        raise DeformError(f"{file} cannot be read or written: {error}", "name another folder with --out") from error


def _work(config: SetConfig, people: Sequence[str], make: Make, workers: int) -> Iterator[Unreadable | None]:
    if workers == 1 or len(people) < 2:
        _one_thread()
        for identity in people:
            yield _make_one(config, identity, make)
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(people)), spawn, _one_thread) as pool:
        try:
            for done in as_completed([pool.submit(_make_one, config, identity, make) for identity in people]):
                yield done.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _make_one(config: SetConfig, identity: str, make: Make) -> Unreadable | None:
    try:
        samples = make(config, identity)
    except Unreadable as error:
        return error
    write_person(config.out, identity, samples)
    return None


def _one_thread() -> None:
    """Threads that wait for one another cost more than the small arrays here are worth."""
    import cv2
    import torch

    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def make_photo(config: SetConfig, identity: str, photos: Mapping[str, tuple[Path, bytes]]) -> list[Sample]:
    """A photo's samples, turned to all sides in 2.5D. Raises Unreadable if it cannot be read."""
    rng = config.random(identity)
    try:
        head = read_head(*photos[identity])
    except UsageError as error:
        raise Unreadable(error.cause, error.remedy) from error
    samples = []
    for yaw, pitch, roll in config.draw_angles(rng):
        pair = make_pair(head, yaw, pitch, roll, config.size, rng)
        about = {"yaw": yaw, "pitch": pitch, "roll": roll, "light": "of the photo"}
        about |= {"source": photos[identity][0].name, "licence": "of the photo"}
        image, target = to_uint8(pair.image), to_uint8(pair.target)
        samples.append(Sample(image, target, pair.flow.numpy(), pair.seen[0].numpy(), pair.face[0].numpy(), about))
    return samples
