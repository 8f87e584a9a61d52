"""From the names of metrics and networks to what computes them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache, partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from deformcli import metrics, registry
from deformcli.data.loading import Batch
from deformcli.errors import DeformError, UsageError, WeightsError
from deformcli.faces import NETWORKS
from deformcli.metrics import (
    frechet_distance,
    identity_cosine,
    inception_score,
    kernel_distance,
    perceptual_distance,
    rank1,
    style_distance,
)
from deformcli.models.embedders import LpipsWeights, VGG16LpipsFeatures
from deformcli.recipes import Predictor
from deformcli.weights.networks import load_frozen
from deformcli.weights.store import file_sha256, resolve_weights

from . import landmarks
from .describers import PERCEPTUAL, Gaps, Identities, Inception, MeanFeatures, Remembered
from .measurements import TARGET, BatchMetric, Describer, Measurements
from .metrics import (
    GAPS,
    HOLES,
    SHARPNESS,
    Column,
    FeatureMetric,
    ItemMetric,
    OfItems,
    OfSet,
    SetMetric,
    gap_metric,
    plain_metric,
)

INCEPTION = "inception-v3-fid"
OF_NETWORKS = {"identity": "mobilefacenet", "rank1": "mobilefacenet", "perceptual": "vgg-16", "style": "vgg-16"}
OF_NETWORKS["lpips"] = "lpips-vgg"
OF_NETWORKS |= dict.fromkeys(landmarks.METRICS, landmarks.NETWORK)
OF_NETWORKS |= dict.fromkeys(("fid", "kid", "is"), INCEPTION)
"""Metrics that a network computes, and the network unless another is chosen."""


@dataclass
class Selection:
    """What is to be computed, and what could not be."""

    device: torch.device
    offline: bool = False
    gallery: Iterable[Tensor] = ()
    """True pictures (3, H, W) of further people for Rank-1."""
    metrics: list[ItemMetric | FeatureMetric] = field(default_factory=list)
    sets: list[SetMetric] = field(default_factory=list)
    describers: list[Describer] = field(default_factory=list)
    networks: dict[str, str] = field(default_factory=dict)
    """id -> sha256 of the file."""
    notes: list[str] = field(default_factory=list)

    def file(self, spec: str) -> Path:
        """The file of a network ID or ID=FILE, noted in `networks`. Raises WeightsError if it is not to be had."""
        path = resolve_weights(spec, offline=self.offline)
        self.networks[_id(spec)] = file_sha256(path)
        return path


def select_metrics(
    names: Collection[str],
    device: torch.device,
    *,
    identity: str | None = None,
    perceptual: str | None = None,
    lpips: str | None = None,
    features: Sequence[str] = (),
    holes: bool = False,
    predictors: Mapping[str, Predictor] | None = None,
    seed: int = 0,
    offline: bool = False,
    gallery: Iterable[Tensor] = (),
) -> Selection:
    """The metrics of these names (none: those that need no network), and those of the networks, each ID or ID=FILE.

    `predictors` are the methods that know which pixels they have filled; `seed` is of what is trained for a metric;
    `gallery` has true pictures (3, H, W) of further people for Rank-1. A metric whose network nobody named and which is
    not on this machine becomes a note while others come.

    Raises:
        UsageError: an unknown metric or network, or a metric of holes for data without.
        WeightsError: a network that was named is not there, or is another; the same of all that was asked for.
    """
    wanted = _checked(names, holes, bool(predictors))
    selection = Selection(device, offline, gallery)
    selection.metrics += [plain_metric(name) for name in wanted if name not in OF_NETWORKS and name not in GAPS]
    if gaps := [name for name in GAPS if name in wanted]:
        selection.describers.append(Gaps(predictors or {}, "gaps"))
        selection.metrics += [gap_metric(name, "gaps", seed, device) for name in gaps]
    inception = [spec for spec in features if _id(spec) == INCEPTION]

    for of_one, spec, add in (
        (("identity", "rank1"), identity, _identity),
        (("perceptual", "style"), perceptual, _perceptual),
        (("lpips",), lpips, partial(_lpips, backbone=perceptual)),
        (landmarks.METRICS, None, _landmarks),
        (("fid", "kid", "is"), inception[0] if inception else None, _inception),
    ):
        asked = [name for name in of_one if name in wanted] or (list(of_one) if spec else [])
        if not asked:
            continue
        try:
            add(selection, asked, spec or OF_NETWORKS[asked[0]])
        except (WeightsError, _NoExtra) as error:
            if spec:
                raise
            selection.notes.append(f"{', '.join(asked)}: left out, {error.cause}; {error.remedy}")
            missing = error
    for spec in features:
        if spec not in inception:
            _other_features(selection, spec)
    if not selection.metrics and not selection.sets:
        raise missing
    return selection


def _checked(names: Collection[str], holes: bool, fills: bool) -> list[str]:
    """The names, each once; those that need no network where there are none."""
    wanted = list(dict.fromkeys(names)) or [*metrics.METRICS, *(HOLES if holes else ())]
    own = {*metrics.METRICS, *HOLES, *SHARPNESS, *GAPS, *OF_NETWORKS}
    known = {*own, *registry.metrics(own)}
    if unknown := sorted(set(wanted) - known):
        raise UsageError(f"no metric is called {unknown[0]!r}", f"known: {', '.join(sorted(known))}")
    for of_holes, there in (({**HOLES, **SHARPNESS}, holes), (GAPS, fills)):
        if not there and set(of_holes) & set(wanted):
            raise UsageError("these data have no holes to measure", f"leave out {' and '.join(of_holes)}")
    return wanted


def _identity(selection: Selection, names: Sequence[str], spec: str) -> None:
    network = _known(spec, NETWORKS, "--identity")
    space = f"identity {network}"
    identities = Identities(network, selection.file(spec), selection.device, space)
    selection.describers.append(identities)

    @cache
    def others() -> np.ndarray:
        known = [identities(picture[None].to(selection.device), {}, TARGET)[space] for picture in selection.gallery]
        return torch.cat(known).cpu().numpy() if known else np.zeros((0, 1))

    both: dict[str, OfItems] = {
        "identity": lambda m, method: identity_cosine(m.features[method, space], m.features[TARGET, space]),
        "rank1": lambda m, method: rank1(m.features[method, space], m.features[TARGET, space], m.people, others()),
    }
    selection.metrics += [FeatureMetric(Column(name, False, network), both[name]) for name in names]


def _perceptual(selection: Selection, names: Sequence[str], spec: str) -> None:
    name = _known(spec, PERCEPTUAL, "--perceptual")
    network = load_frozen(PERCEPTUAL[name](), selection.file(spec)).to(selection.device)
    true_features = lru_cache(1)(network)  # the methods are measured one after another against the same pictures
    features = lru_cache(1)(network)  # for both metrics

    def metric(distance: Callable[[Sequence[Tensor], Sequence[Tensor]], Tensor]) -> BatchMetric:
        return lambda image, target, batch: distance(features(image), true_features(target))

    both = {"perceptual": perceptual_distance, "style": style_distance}
    selection.metrics += [ItemMetric(Column(one, True, name), metric(both[one])) for one in names]


def _lpips(selection: Selection, names: Sequence[str], spec: str, backbone: str | None) -> None:
    name = _known(spec, ("lpips-vgg",), "--lpips")
    vgg = backbone if backbone and _id(backbone) == "vgg-16" else "vgg-16"
    weights = load_frozen(LpipsWeights(), selection.file(spec)).to(selection.device)()
    network = load_frozen(VGG16LpipsFeatures(), selection.file(vgg)).to(selection.device)
    true_features = lru_cache(1)(network)

    def distance(image: Tensor, target: Tensor, batch: Batch) -> Tensor:
        return metrics.lpips(network(image), true_features(target), weights)

    selection.metrics += [ItemMetric(Column("lpips", True, name), distance)]


def _landmarks(selection: Selection, names: Sequence[str], spec: str) -> None:
    selection.metrics += landmarks.landmark_metrics(names, selection.file(spec), selection.device)


def _inception(selection: Selection, names: Sequence[str], spec: str) -> None:
    _check_extra()
    path = selection.file(spec)
    selection.describers.append(Remembered(Inception(path, selection.device), selection.networks[INCEPTION]))
    sets: dict[str, OfSet] = {
        "fid": _distance(frechet_distance, "inception"),
        "kid": _distance(kernel_distance, "inception"),
        "is": lambda m, method, members: inception_score(m.features[method, "logits"][members]),
    }
    selection.sets += [SetMetric(Column(name, name != "is", INCEPTION), sets[name]) for name in names]


def _other_features(selection: Selection, spec: str) -> None:
    """A Frechet distance in the space of another network, named after it: it is no FID."""
    _check_extra()
    network = _known(spec, {**NETWORKS, **PERCEPTUAL}, "--features")
    space = f"frechet {network}"
    describer = (Identities if network in NETWORKS else MeanFeatures)(
        network, selection.file(spec), selection.device, space
    )
    selection.describers.append(Remembered(describer, selection.networks[network]))
    selection.sets.append(SetMetric(Column(space, True, network), _distance(frechet_distance, space)))


def _distance(of: Callable[[np.ndarray, np.ndarray], float], space: str) -> OfSet:
    def distance(m: Measurements, method: str, members: np.ndarray) -> float:
        made, true = m.features[method, space][members], m.features[TARGET, space]
        true = true[members] if m.paired else true
        return of(made, true) if min(len(made), len(true)) > 1 else float("nan")

    return distance


def _id(spec: str) -> str:
    return spec.partition("=")[0]


def _known(spec: str, networks: Collection[str], option: str) -> str:
    name = _id(spec)
    if name not in networks:
        raise UsageError(f"{option} {spec}: no such network here", f"known: {', '.join(networks)}; as ID or ID=FILE")
    return name


class _NoExtra(DeformError):
    """A package is missing that only some metrics need."""


def _check_extra() -> None:
    try:
        import torch_fidelity  # noqa: F401
    except ImportError as error:
        raise _NoExtra("torch-fidelity is not installed", "pip install 'deformcli[fidelity]'") from error
