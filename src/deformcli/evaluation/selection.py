"""From the names of metrics and networks to what computes them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from deformcli import metrics, registry
from deformcli.errors import DeformError, UsageError, WeightsError
from deformcli.faces.identify import NETWORKS
from deformcli.recipes import Predictor
from deformcli.weights.networks import load_frozen
from deformcli.weights.store import file_sha256, resolve_weights

from .describers import PERCEPTUAL, Gaps, Identities, Inception, MeanFeatures, Remembered
from .measurements import Describer
from .metrics import (
    GAPS,
    HOLES,
    FeatureMetric,
    ItemMetric,
    SetMetric,
    frechet_metric,
    gap_metric,
    identity_metric,
    inception_metric,
    perceptual_metric,
    plain_metric,
)

INCEPTION = "inception-v3-fid"
OF_NETWORKS = {"mobilefacenet": ("identity", "rank1"), "vgg-16": ("perceptual",), INCEPTION: ("fid", "kid", "is")}
"""Metrics that a network computes, by the network unless another is chosen."""


@dataclass
class Selection:
    """What is to be computed, and what could not be."""

    device: torch.device
    offline: bool
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
    names: Collection[str] = (),
    *,
    identity: str | None = None,
    perceptual: str | None = None,
    features: Sequence[str] = (),
    holes: bool = False,
    predictors: Mapping[str, Predictor] | None = None,
    seed: int = 0,
    device: torch.device,
    offline: bool = False,
) -> Selection:
    """The metrics that were named, and those of the networks that were named.

    A metric whose network nobody named and which is not on this machine becomes a note; the others still come.

    Args:
        names: of metrics; none: those that need no network.
        identity: the network of likeness and Rank-1, as ID or ID=FILE.
        perceptual: that of the perceptual distance.
        features: Inception's, for FID, KID and IS, and others' for Frechet distances.
        holes: whether items have holes.
        predictors: the methods that know which pixels of their pictures they have filled.
        seed: of what is trained anew for a metric.
        device: where networks run.
        offline: take only files that are on this machine.

    Raises:
        UsageError: an unknown metric or network, or a metric of holes for data without.
        WeightsError: a network that was named is not there, or is another.
    """
    wanted = _checked(names, holes, bool(predictors))
    of_networks = {name for group in OF_NETWORKS.values() for name in group}
    selection = Selection(device, offline)
    selection.metrics += [plain_metric(name) for name in wanted if name not in of_networks and name not in GAPS]
    if gaps := [name for name in GAPS if name in wanted]:
        selection.describers.append(Gaps(predictors or {}, "gaps"))
        selection.metrics += [gap_metric(name, "gaps", seed, device) for name in gaps]
    inception = next((spec for spec in features if _id(spec) == INCEPTION), None)

    for usual, spec, add in (
        ("mobilefacenet", identity, _add_identity),
        ("vgg-16", perceptual, _add_perceptual),
        (INCEPTION, inception, _add_inception),
    ):
        group = OF_NETWORKS[usual]
        asked = [name for name in group if name in wanted] or (list(group) if spec else [])
        if not asked:
            continue
        try:
            add(selection, asked, spec or usual)
        except (WeightsError, _NoExtra) as error:
            if spec:
                raise
            selection.notes.append(f"{', '.join(asked)}: left out, {error.cause}; {error.remedy}")
    for spec in features:
        if _id(spec) != INCEPTION:
            _add_frechet(selection, spec)
    return selection


def _checked(names: Collection[str], holes: bool, fills: bool) -> list[str]:
    """The names, each once; those that need no network where there are none."""
    wanted = list(dict.fromkeys(names)) or [*metrics.METRICS, *(HOLES if holes else ())]
    of_networks = [name for group in OF_NETWORKS.values() for name in group]
    known = {*metrics.METRICS, *HOLES, *GAPS, *of_networks, *registry.metrics()}
    if unknown := sorted(set(wanted) - known):
        raise UsageError(f"no metric is called {unknown[0]!r}", f"known: {', '.join(sorted(known))}")
    for of_holes, there in ((HOLES, holes), (GAPS, fills)):
        if not there and set(of_holes) & set(wanted):
            raise UsageError("these data have no holes to measure", f"leave out {' and '.join(of_holes)}")
    return wanted


class _NoExtra(DeformError):
    """A package is missing that only some metrics need."""


def _add_identity(selection: Selection, names: Sequence[str], spec: str) -> None:
    network = _known(spec, NETWORKS, "--identity")
    space = f"identity {network}"
    selection.describers.append(Identities(network, selection.file(spec), selection.device, space))
    selection.metrics += [identity_metric(name, network, space) for name in names]


def _add_perceptual(selection: Selection, names: Sequence[str], spec: str) -> None:
    network = _known(spec, PERCEPTUAL, "--perceptual")
    features = load_frozen(PERCEPTUAL[network](), selection.file(spec)).to(selection.device)
    selection.metrics.append(perceptual_metric(network, features))


def _add_inception(selection: Selection, names: Sequence[str], spec: str) -> None:
    _check_extra()
    describer = Inception(selection.file(spec), selection.device)
    selection.describers.append(Remembered(describer, selection.networks[INCEPTION]))
    selection.sets += [inception_metric(name, INCEPTION) for name in names]


def _add_frechet(selection: Selection, spec: str) -> None:
    _check_extra()
    network = _known(spec, {**NETWORKS, **PERCEPTUAL}, "--features")
    space = f"frechet {network}"
    kind = Identities if network in NETWORKS else MeanFeatures
    describer = kind(network, selection.file(spec), selection.device, space)
    selection.describers.append(Remembered(describer, selection.networks[network]))
    selection.sets.append(frechet_metric(network, space))


def _id(spec: str) -> str:
    return spec.partition("=")[0]


def _known(spec: str, networks: Collection[str], option: str) -> str:
    name = _id(spec)
    if name not in networks:
        raise UsageError(f"{option} {spec}: no such network here", f"known: {', '.join(networks)}; as ID or ID=FILE")
    return name


def _check_extra() -> None:
    try:
        import torch_fidelity  # noqa: F401
    except ImportError as error:
        raise _NoExtra("torch-fidelity is not installed", "pip install 'deformcli[fidelity]'") from error
