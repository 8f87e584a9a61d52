"""Two folders of pictures: each against the file of the same name in the other, or the one set against the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from deformcli.data import Batch
from deformcli.errors import NothingToDoError, UsageError
from deformcli.images import READABLE, read_image, to_tensor
from deformcli.metrics import WINDOW

BATCH = 16


class Folder:
    """The pictures of one folder, as true ones; all are in one group."""

    def __init__(self, folder: Path, *, recursive: bool = False) -> None:
        """Raises UsageError or NothingToDoError naming the folder."""
        self.paths: Sequence[Any] = _pictures(folder, recursive)

    def __len__(self) -> int:
        return len(self.paths)

    def __iter__(self) -> Iterator[Batch]:
        """Batches of pictures of one size: "truth" (N, 3, H, W) in [-1, 1], and "image", what is compared with it."""
        batch: list[tuple[Tensor, Tensor]] = []
        for image, truth in map(self.read, self.paths):
            if batch and (len(batch) == BATCH or batch[0][0].shape != image.shape):
                yield _stacked(batch)
                batch = []
            batch.append((image, truth))
        yield _stacked(batch)

    def read(self, path: Path) -> tuple[Tensor, Tensor]:
        """A picture (1, 3, H, W), twice."""
        picture = to_tensor(read_image(path))
        return picture, picture

    def target(self, batch: Batch) -> Tensor:
        return batch["truth"]

    def groups(self, batch: Batch) -> list[str]:
        return ["all"] * len(batch["truth"])


class Folders(Folder):
    """The pairs of two folders, by file name without suffix."""

    def __init__(self, predictions: Path, truths: Path, *, recursive: bool = False) -> None:
        """`recursive`: by the path below the folder. UsageError or NothingToDoError name it, or a lone file."""
        found, wanted = _by_stem(predictions, recursive), _by_stem(truths, recursive)
        for one, other, folder in ((found, wanted, truths), (wanted, found, predictions)):
            if alone := sorted(one.keys() - other.keys()):
                count = f"{len(alone)} of {len(one)} have none, the first is" if len(alone) > 1 else "it is"
                cause = f"{folder} has no picture called {alone[0]}: {count} {one[alone[0]]}"
                raise UsageError(cause, "give both folders the same files, or take the others away")
        self.paths = [(found[stem], wanted[stem]) for stem in sorted(found)]

    def read(self, pair: tuple[Path, Path]) -> tuple[Tensor, Tensor]:
        """A picture and the true one. Raises UsageError for two that cannot be compared."""
        prediction, truth = pair
        image, true = (to_tensor(read_image(path)) for path in pair)
        if image.shape != true.shape:
            have, want = (f"{w} x {h}" for h, w in (image.shape[2:], true.shape[2:]))
            raise UsageError(f"{prediction} is {have} pixels, {truth} is {want}", "bring them to one size first")
        if min(image.shape[2:]) < WINDOW:
            raise UsageError(f"{prediction} is smaller than {WINDOW} pixels", "compare larger pictures")
        return image, true

    def pictures(self, batch: Batch) -> dict[str, Tensor]:
        """None but the two that are compared."""
        return {}


def _by_stem(folder: Path, recursive: bool) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in _pictures(folder, recursive):
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in found:
            cause = f"{folder} has two pictures called {name}: {found[name].name} and {path.name}"
            raise UsageError(cause, "take one of them away")
        found[name] = path
    return found


def _pictures(folder: Path, recursive: bool) -> list[Path]:
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder", "name two folders of pictures")
    inside = sorted(folder.rglob("*") if recursive else folder.iterdir())
    found = [path for path in inside if path.suffix.lower() in READABLE and path.is_file() and path.name[0] != "."]
    if not found:
        remedy = f"name a folder of {' '.join(READABLE)} files" + ("" if recursive else ", or look deeper with -r")
        raise NothingToDoError(f"{folder}: no picture there", remedy)
    return found


def _stacked(batch: list[tuple[Tensor, Tensor]]) -> Batch:
    images, truths = zip(*batch, strict=True)
    return {"image": torch.cat(images), "truth": torch.cat(truths)}
