"""Methods mixed in the proportion in which they did well in the rehearsal.

A linear pool: ``p(y) = sum_k w_k p_k(y)``. Weights maximise the log score of the rehearsal's
levels, held towards a prior, for few levels were rehearsed and groups err together.

References
----------
Hall and Mitchell 2007, doi:10.1016/j.ijforecast.2006.08.001; Yao et al. 2018,
doi:10.1214/17-BA1091 (stacking of predictive distributions).
"""

from typing import Final

import numpy as np

from quantascope.families.forecast.seen import Floats

__all__ = ["PRIOR", "pool_weights"]

PRIOR: Final = {"quantization": 3.0, "pooled": 3.0, "power_law": 1.0, "last_value": 1.0}
"""Methods that are mixed, and hidden levels that each counts as having won before."""
_GROUPS: Final = 4.0
"""Observations that the groups of one hidden level count as."""
_TURNS: Final = 200


def pool_weights(densities: dict[str, Floats]) -> dict[str, float]:
    """Give the weights of the pool.

    Parameters
    ----------
    densities
        Log density that each method gave what came, axes ``pair group``; methods of `PRIOR`.

    Examples
    --------
    >>> good, bad = np.zeros((3, 50)), np.full((3, 50), -2.0)
    >>> weights = pool_weights({"quantization": bad, "pooled": good})
    >>> {name: round(weight, 2) for name, weight in weights.items()}
    {'quantization': 0.19, 'pooled': 0.81}
    """
    names = list(densities)
    prior = np.array([PRIOR[name] for name in names])
    if not names:
        return {}
    table = np.stack([densities[name] for name in names])
    n_pairs = table.shape[1]
    if not n_pairs:
        return dict(zip(names, (prior / prior.sum()).tolist(), strict=True))
    likelihood = np.exp(table - table.max(axis=0))
    weight = prior / prior.sum()
    for _ in range(_TURNS):
        share = weight[:, None, None] * likelihood
        share /= share.sum(axis=0)
        weight = prior + _GROUPS * share.mean(axis=2).sum(axis=1)
        weight /= weight.sum()
    return dict(zip(names, weight.tolist(), strict=True))
