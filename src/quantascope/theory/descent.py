"""Double descent in closed form: excess risk of ridgeless least squares, exact at finite size.

Isotropic normal features, a linear truth, normal noise; the estimator is least squares below the
interpolation threshold and the minimum-norm interpolant above it. Tests of curve shapes take this
as the curve whose peak is known.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["ridgeless_excess_risk"]


def ridgeless_excess_risk(
    n_features: ArrayLike, *, n_samples: int, signal: float, noise: float, omitted: float = 0.0
) -> NDArray[np.float64]:
    """Give the expected excess risk of ridgeless regression on p features and n samples.

    With ``v = noise + omitted``, the risk above the noise is

    - ``omitted + v p / (n - p - 1)`` for ``p <= n - 2``;
    - infinite for ``|p - n| <= 1``;
    - ``omitted + signal (1 - n / p) + v n / (p - n - 1)`` for ``p >= n + 2``.

    Where v is 0 nothing diverges: 0 for ``p <= n`` and ``signal (1 - n / p)`` above.

    Parameters
    ----------
    n_features
        Features p that the model sees, integers from 1, any shape.
    n_samples
        Training samples n, at least 1.
    signal
        ``|beta|**2`` on the features seen, not negative.
    noise
        Variance of the label noise, not negative.
    omitted
        ``|beta|**2`` on features that are not seen; they act as noise.

    Returns
    -------
    NDArray[np.float64]
        Expected squared error on a fresh sample less `noise`, shape of `n_features`.

    References
    ----------
    Belkin, Hsu and Xu, arXiv:1903.07571, theorem 1 (recalled; held here against simulation in the
    tests). Its asymptotic form is Hastie et al., arXiv:1903.08560, theorem 1.

    Examples
    --------
    >>> ridgeless_excess_risk([29, 60, 119], n_samples=60, signal=4.0, noise=1.0).round(3).tolist()
    [0.967, inf, 3.018]
    """
    p = np.asarray(n_features, dtype=np.float64)
    if not (p >= 1).all() or n_samples < 1:
        raise ValueError("n_features, n_samples: a count below 1; allowed are integers from 1")
    if not min(signal, noise, omitted) >= 0:
        raise ValueError(
            f"signal, noise, omitted: {signal}, {noise}, {omitted} found; allowed are numbers from "
            "0; give variances, not amplitudes"
        )
    n, variance = float(n_samples), noise + omitted
    if variance == 0:
        return np.asarray(signal * np.maximum(1.0 - n / p, 0.0))
    below, above = p <= n - 2, p >= n + 2
    classical = variance * p / np.where(below, n - p - 1, 1.0)
    modern = signal * (1.0 - n / p) + variance * n / np.where(above, p - n - 1, 1.0)
    risk: NDArray[np.float64] = omitted + np.where(
        below, classical, np.where(above, modern, np.inf)
    )
    return risk
