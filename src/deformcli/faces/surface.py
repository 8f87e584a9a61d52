"""Smooth surfaces through scattered values: Duchon's thin-plate spline."""

from __future__ import annotations

import numpy as np


def thin_plate(at: np.ndarray, values: np.ndarray, query: np.ndarray, stiffness: float = 1.0) -> np.ndarray:
    """The surface through `values` (N,) or (N, C) at places `at` (N, 2), evaluated at `query` (M, 2): (M,) or (M, C).

    With a larger `stiffness` it passes the values by and bends less. Places are best given in a range of about 1.
    """

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        squared = ((a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T).clip(0)
        return squared * np.log(squared + 1e-9) / 2

    def affine(a: np.ndarray) -> np.ndarray:
        return np.concatenate([np.ones((len(a), 1)), a], 1)

    system = np.zeros((len(at) + 3, len(at) + 3))
    system[:-3, :-3] = kernel(at, at) + stiffness * np.eye(len(at))
    system[:-3, -3:], system[-3:, :-3] = affine(at), affine(at).T
    solution = np.linalg.solve(system, np.concatenate([values, np.zeros((3, *values.shape[1:]))]))
    return kernel(query, at) @ solution[:-3] + affine(query) @ solution[-3:]
