"""A sample for tail fits: distinct values with their counts, checked once.

Fits of whole numbers touch each distinct value once, so a million draws cost what their few
thousand distinct values do.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Sample", "read_sample"]

Floats = NDArray[np.float64]
_MAX_WHOLE: Final = 2.0**53  # above, doubles skip whole numbers


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Distinct values, ascending, with how often each occurs."""

    values: Floats
    counts: Floats
    discrete: bool

    @property
    def n(self) -> int:
        """How many values, repeats counted."""
        return int(self.counts.sum())

    def tail(self, xmin: float) -> "Sample":
        """Keep the part at or above a cut-off."""
        start = int(np.searchsorted(self.values, xmin))
        return Sample(
            values=self.values[start:], counts=self.counts[start:], discrete=self.discrete
        )

    def resample(self, rng: np.random.Generator) -> "Sample":
        """Draw as many values again, with replacement."""
        counts = rng.multinomial(self.n, self.counts / self.counts.sum()).astype(np.float64)
        kept = counts > 0
        return Sample(values=self.values[kept], counts=counts[kept], discrete=self.discrete)


def read_sample(
    values: ArrayLike, *, counts: ArrayLike | None = None, discrete: bool | None = None
) -> Sample:
    """Check values and gather equal ones.

    Parameters
    ----------
    values
        Finite numbers >= 0; zeros lie below every cut-off.
    counts
        How often each value occurs, whole numbers >= 0; None counts each once.
    discrete
        Whether values are whole numbers; None takes them for it if all are.

    Returns
    -------
    Sample
        Distinct values in ascending order.

    Raises
    ------
    ValueError
        If a value or count is out of its range, or a discrete value is not whole.
    """
    x = _floats("values", values)
    if not x.size:
        raise ValueError("values: none found; at least one is needed")
    _require(np.isfinite(x) & (x >= 0), x, name="values", allowed="finite numbers >= 0")
    whole = (x == np.floor(x)) & (x <= _MAX_WHOLE)
    is_discrete = bool(whole.all()) if discrete is None else discrete
    if is_discrete and discrete:
        whole = x == np.floor(x)
        _require(whole, x, name="values", allowed="whole numbers where discrete=True")
    if counts is None:
        distinct, number = np.unique(x, return_counts=True)
        return Sample(values=distinct, counts=number.astype(np.float64), discrete=is_discrete)
    weight = _floats("counts", counts)
    if weight.shape != x.shape:
        raise ValueError(f"counts: {weight.size} found for {x.size} values; give one for each")
    good = np.isfinite(weight) & (weight >= 0) & (weight == np.floor(weight))
    _require(good, weight, name="counts", allowed="whole numbers >= 0")
    if not weight.any():
        raise ValueError("counts: all are zero; at least one value must occur")
    distinct, place = np.unique(x[weight > 0], return_inverse=True)
    number = np.bincount(place, weights=weight[weight > 0])
    return Sample(values=distinct, counts=number.astype(np.float64), discrete=is_discrete)


def _floats(name: str, values: ArrayLike) -> Floats:
    try:
        return np.asarray(values, dtype=np.float64).ravel()
    except (TypeError, ValueError):
        raise ValueError(
            f"{name}: {repr(values).splitlines()[0]:.40} found; allowed are numbers"
        ) from None


def _require(good: NDArray[np.bool_], found: Floats, *, name: str, allowed: str) -> None:
    bad = np.flatnonzero(~good)
    if len(bad):
        raise ValueError(
            f"{name}: {found[bad[0]]:g} found at place {bad[0] + 1}; allowed are {allowed}"
        )
