"""How alike two sets of pictures are, by their features (N, K): FID, KID and IS where these are Inception's.

torch-fidelity computes them; it is an extra (`pip install deformcli[fidelity]`).
"""

from __future__ import annotations

import numpy as np
import torch

SMALL_SET = 2048
"""With fewer than so many items a Frechet distance says more about their number than about their quality."""


def frechet_distance(features: np.ndarray, target_features: np.ndarray) -> float:
    """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) of the features' means and covariances (Heusel et al. 2017).

    Both have at least 2 rows. With fewer rows than features, the trace of the root is the sum of the singular values of
    the centred features' product, which is much smaller than the covariances and gives the same number.
    """
    rows = max(len(features), len(target_features))
    if rows >= features.shape[1]:
        from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric

        statistics = [fid_features_to_statistics(torch.from_numpy(x).double()) for x in (features, target_features)]
        return fid_statistics_to_metric(*statistics, verbose=False)[KEY_METRIC_FID]
    a, b = ((x - x.mean(0)) / np.sqrt(len(x) - 1) for x in (features.astype(float), target_features.astype(float)))
    root = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    shift = features.astype(float).mean(0) - target_features.astype(float).mean(0)
    return float(shift @ shift + (a**2).sum() + (b**2).sum() - 2 * root)


def kernel_distance(features: np.ndarray, target_features: np.ndarray, seed: int = 0) -> float:
    """Squared maximum mean discrepancy under the kernel (x.y / K + 1)^3, unbiased (Binkowski et al. 2018).

    The mean over 100 random subsets of 1,000 rows; over all rows where there are fewer. At least 2 rows.
    """
    from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, kid_features_to_metric

    rows = min(len(features), len(target_features))
    sets = (torch.from_numpy(x).double() for x in (features, target_features))
    subsets = {"kid_subsets": 100 if rows > 1000 else 1, "kid_subset_size": min(rows, 1000)}
    return kid_features_to_metric(*sets, **subsets, rng_seed=seed, verbose=False)[KEY_METRIC_KID_MEAN]


def inception_score(logits: np.ndarray, seed: int = 0) -> float:
    """exp of the mean divergence of a picture's classes from the mean of its tenth (Salimans et al. 2016)."""
    from torch_fidelity.metric_isc import KEY_METRIC_ISC_MEAN, isc_features_to_metric

    return isc_features_to_metric(torch.from_numpy(logits), min(10, len(logits)), True, seed)[KEY_METRIC_ISC_MEAN]
