"""From the names of metrics and networks to what computes them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from deformcli import metrics, registry
from deformcli.data import Batch
from deformcli.errors import DeformError, UsageError, WeightsError
from deformcli.evaluation.gap import gap_auc
from deformcli.evaluation.measure import TARGET, Describer, Judge, Measurements
from deformcli.faces import NETWORKS
from deformcli.metrics import (
    frechet_distance,
    identity_cosine,
    inception_score,
    kernel_distance,
    perceptual_distance,
    rank1,
)
from deformcli.recipes import Predictor, target_known
from deformcli.weights.networks import load_frozen
from deformcli.weights.store import file_sha256, resolve_weights

from .describers import PERCEPTUAL, Gaps, Identities, Inception, Looks, Remembered
from .options import Judging

HOLES = ("hole-mse", "hole-psnr")
GAPS = {"gap-auc": True, "gap-auc-true": False}
"""Metrics of a gap discriminator trained anew, and whether it judges the method's pictures or the true ones."""
OF_NETWORKS = {
    "identity": "mobilefacenet",
    "rank1": "mobilefacenet",
    "perceptual": "vgg-16",
    "fid": "inception-v3-fid",
    "kid": "inception-v3-fid",
    "is": "inception-v3-fid",
}
"""Metrics that a network computes, and the network unless another is chosen."""


@dataclass(frozen=True)
class Metric:
    """One column: exactly one of `judge`, `derive`, `of_set` says how its numbers come about."""

    name: str
    lower_is_better: bool
    network: str = ""
    """The id of the network that judges."""
    judge: Judge | None = None
    """Of each batch, as it passes."""
    derive: Callable[[Measurements, str], np.ndarray] | None = None
    """Of a method's features of all items: (N,)."""
    of_set: Callable[[Measurements, str, np.ndarray], float] | None = None
    """Of a method's features of the items that a (N,) bool array marks, as a set."""


@dataclass
class Chosen:
    """What is to be computed, and what could not be."""

    metrics: list[Metric] = field(default_factory=list)
    describers: list[Describer] = field(default_factory=list)
    networks: dict[str, str] = field(default_factory=dict)
    """id -> sha256 of the file."""
    notes: list[str] = field(default_factory=list)


def choose(judging: Judging, *, holes: bool, recipes: Mapping[str, Predictor], device: torch.device) -> Chosen:
    """The metrics that were named (none: those that need no network), and those of the networks that were named.

    `recipes` are the methods that know which pixels of their pictures they have filled.

    A metric whose network nobody named and which is not on this machine becomes a note; the others still come.

    Raises:
        UsageError: an unknown metric or network, or a metric of holes for data without.
        WeightsError: a network that was named is not there, or is another.
    """
    names, features = [name for name in judging.metrics.split(",") if name], judging.features or []
    wanted = list(dict.fromkeys(names)) or [*metrics.METRICS, *(HOLES if holes else ())]
    known = {*metrics.METRICS, *HOLES, *GAPS, *OF_NETWORKS, *registry.metrics()}
    if unknown := sorted(set(wanted) - known):
        raise UsageError(f"no metric is called {unknown[0]!r}", f"known: {', '.join(sorted(known))}")
    for names_of_holes, there in ((HOLES, holes), (GAPS, bool(recipes))):
        if not there and set(names_of_holes) & set(wanted):
            raise UsageError("these data have no holes to measure", f"leave out {' and '.join(names_of_holes)}")
    chosen, load = Chosen(), _Loader(device, judging.offline)
    chosen.metrics += [_plain(name) for name in wanted if name not in OF_NETWORKS and name not in GAPS]
    if gaps := [name for name in GAPS if name in wanted]:
        chosen.describers.append(Gaps(recipes, "gaps"))
        chosen.metrics += [Metric(name, True, derive=_gap_auc(GAPS[name], judging.seed, device)) for name in gaps]
    inception = [spec for spec in features if _id(spec) == "inception-v3-fid"]

    for names_of_one, spec, build in (
        (("identity", "rank1"), judging.identity, _identity),
        (("perceptual",), judging.perceptual, _perceptual),
        (("fid", "kid", "is"), inception[0] if inception else None, _inception),
    ):
        asked = [name for name in names_of_one if name in wanted] or (list(names_of_one) if spec else [])
        if not asked:
            continue
        try:
            build(chosen, asked, load, spec or OF_NETWORKS[asked[0]])
        except (WeightsError, _NoExtra) as error:
            if spec:
                raise
            chosen.notes.append(f"{', '.join(asked)}: left out, {error.cause}; {error.remedy}")
    for spec in features:
        if spec not in inception:
            _other_features(chosen, load, spec)
    return chosen


class _NoExtra(DeformError):
    """A package is missing that only some metrics need."""


@dataclass(frozen=True)
class _Loader:
    device: torch.device
    offline: bool

    def file(self, chosen: Chosen, spec: str) -> Path:
        path = resolve_weights(spec, offline=self.offline)
        chosen.networks[_id(spec)] = file_sha256(path)
        return path


def _id(spec: str) -> str:
    return spec.partition("=")[0]


def _plain(name: str) -> Metric:
    if name in HOLES:
        return Metric(name, name == "hole-mse", judge=_of_holes(getattr(metrics, name.replace("-", "_"))))
    function = metrics.METRICS.get(name) or registry.resolve(registry.metrics()[name])
    lower = getattr(function, "lower_is_better", name in metrics.LOWER_IS_BETTER)
    return Metric(name, lower, judge=lambda image, target, batch: function(image, target))


def _gap_auc(of_method: bool, seed: int, device: torch.device) -> Callable[[Measurements, str], np.ndarray]:
    by_holes: dict[bytes, np.ndarray] = {}  # all methods that got their holes with the pictures have the same

    def derive(m: Measurements, method: str) -> np.ndarray:
        if (method, "gaps") not in m.features:
            return np.full(len(m.people), np.nan)
        made, true = (torch.from_numpy(m.features[one, "gaps"]) for one in (method, TARGET))
        known = made[:, 3:]
        if of_method:
            return gap_auc(made[:, :3], known, m.people, seed, device)
        holes = hashlib.sha256(known.numpy().tobytes()).digest()
        if holes not in by_holes:
            by_holes[holes] = gap_auc(true[:, :3], known, m.people, seed, device)
        return by_holes[holes]

    return derive


def _of_holes(function: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Judge:
    def judge(image: Tensor, target: Tensor, batch: Batch) -> Tensor:
        unknown = 1 - target_known(batch, target)  # no hole: nobody knows what belongs there
        return function(image, target, batch["known"].maximum(unknown))

    return judge


def _identity(chosen: Chosen, names: list[str], load: _Loader, spec: str) -> None:
    network = _known(spec, NETWORKS, "--identity")
    space = f"identity {network}"
    chosen.describers.append(Identities(network, load.file(chosen, spec), load.device, space))
    both = {
        "identity": lambda m, method: identity_cosine(m.features[method, space], m.features[TARGET, space]),
        "rank1": lambda m, method: rank1(m.features[method, space], m.features[TARGET, space], m.people),
    }
    chosen.metrics += [Metric(name, False, network, derive=both[name]) for name in names]


def _perceptual(chosen: Chosen, names: list[str], load: _Loader, spec: str) -> None:
    name = _known(spec, PERCEPTUAL, "--perceptual")
    network = load_frozen(PERCEPTUAL[name](), load.file(chosen, spec)).to(load.device)
    described = lru_cache(1)(network)  # every method is judged against the same true pictures, one after another

    def judge(image: Tensor, target: Tensor, batch: Batch) -> Tensor:
        return perceptual_distance(network(image), described(target))

    chosen.metrics.append(Metric("perceptual", True, name, judge=judge))


def _inception(chosen: Chosen, names: list[str], load: _Loader, spec: str) -> None:
    _check_extra()
    path = load.file(chosen, spec)
    chosen.describers.append(Remembered(Inception(path, load.device), chosen.networks[_id(spec)]))
    sets = {
        "fid": (True, _distance(frechet_distance, "inception")),
        "kid": (True, _distance(kernel_distance, "inception")),
        "is": (False, lambda m, method, members: inception_score(m.features[method, "logits"][members])),
    }
    chosen.metrics += [Metric(name, sets[name][0], _id(spec), of_set=sets[name][1]) for name in names]


def _other_features(chosen: Chosen, load: _Loader, spec: str) -> None:
    """A Frechet distance in the space of another network, named after it: it is no FID."""
    _check_extra()
    network = _known(spec, {**NETWORKS, **PERCEPTUAL}, "--features")
    space = f"frechet {network}"
    describer = (Identities if network in NETWORKS else Looks)(network, load.file(chosen, spec), load.device, space)
    chosen.describers.append(Remembered(describer, chosen.networks[network]))
    chosen.metrics.append(Metric(space, True, network, of_set=_distance(frechet_distance, space)))


def _distance(of: Callable[[np.ndarray, np.ndarray], float], space: str) -> Callable[..., float]:
    def distance(m: Measurements, method: str, members: np.ndarray) -> float:
        if members.sum() < 2:
            return float("nan")
        return of(m.features[method, space][members], m.features[TARGET, space][members])

    return distance


def _known(spec: str, kinds: object, option: str) -> str:
    name = _id(spec)
    if name not in kinds:  # type: ignore[operator]
        raise UsageError(f"{option} {spec}: no such network here", f"known: {', '.join(kinds)}; as ID or ID=FILE")  # type: ignore[call-overload]
    return name


def _check_extra() -> None:
    try:
        import torch_fidelity  # noqa: F401
    except ImportError as error:
        raise _NoExtra("torch-fidelity is not installed", "pip install 'deformcli[fidelity]'") from error
