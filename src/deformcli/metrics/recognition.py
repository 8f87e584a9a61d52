"""Is it still the same person: comparisons of unit-length face embeddings (N, K)."""

from __future__ import annotations

import numpy as np


def identity_cosine(embedding: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Cosine of the angle between each embedding and its truth's, (N,), -1..1; higher is better."""
    return (embedding * target).sum(1)


def rank1(probes: np.ndarray, targets: np.ndarray, people: np.ndarray, others: np.ndarray | None = None) -> np.ndarray:
    """1 where the nearest picture of the gallery shows the probe's person, else 0: (N,). Thesis table 4.2.

    The gallery has one true frontal picture of each person, the first among `targets`; `people` (N,) says who is in
    each item. `others` (M, K) are of further people in the gallery.
    """
    names, first = np.unique(people, return_index=True)
    alike = probes @ targets[first].T
    right = names[alike.argmax(1)] == people
    if others is not None and len(others):
        right &= alike.max(1) > (probes @ others.T).max(1)
    return right.astype(np.float64)
