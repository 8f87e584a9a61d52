"""Is it still the same person: comparisons of unit-length face embeddings (N, K)."""

from __future__ import annotations

import numpy as np


def identity_cosine(embedding: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Cosine of the angle between each embedding and its truth's, (N,), -1..1; higher is better."""
    return (embedding * target).sum(1)


def rank1(probes: np.ndarray, targets: np.ndarray, people: np.ndarray) -> np.ndarray:
    """1 where the nearest picture of the gallery shows the probe's person, else 0: (N,). Thesis table 4.2.

    The gallery has one true frontal picture of each person, the first among `targets`; `people` (N,) says who is in
    each item.
    """
    names, first = np.unique(people, return_index=True)
    nearest = (probes @ targets[first].T).argmax(1)
    return (names[nearest] == people).astype(np.float64)
