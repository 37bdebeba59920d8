"""The rehearsal: every method forecasts the last seen levels from those before them.

From it come how far runs are ahead or behind (`shared`), and in what proportion methods are mixed.
Where groups are many a random part of them is enough.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from quantascope.core.rng import stream
from quantascope.families.forecast.baselines import predict_baseline
from quantascope.families.forecast.hierarchy import Ensemble
from quantascope.families.forecast.learning import fit_hierarchy
from quantascope.families.forecast.mixture import Mixture, Unit
from quantascope.families.forecast.seen import Floats, Seen
from quantascope.families.forecast.shared import Shifts, find_shift, predict_shifted

__all__ = ["HIERARCHIES", "Rehearsal", "rehearse"]

HIERARCHIES: Final = {"quantization": True, "pooled": False}
"""Methods with a dictionary of shapes, and whether positions follow the use of groups."""

_SAMPLE: Final = 1200
_MOST_CUTS: Final = 3
_FEWEST: Final = 3  # levels before a hidden one, where there are as many


@dataclass(frozen=True, kw_only=True, eq=False)
class Rehearsal:
    """What every method made of levels that were hidden from it."""

    pairs: tuple[tuple[int, int], ...]
    """Levels shown, and the level asked for."""
    densities: dict[str, Floats]
    """Log density of what came, axes ``pair group`` [ln 1/nat]; minus infinity where a method had
    too few levels, which counts as the worst."""
    mean_errors: dict[str, Floats]
    """Mean loss that came less the one forecast [nat], axis ``pair``; NaN where there is none."""
    shifts: dict[str, Shifts]


def make_pairs(n_levels: int, horizon: int) -> tuple[tuple[int, int], ...]:
    """List what is shown and asked: the last cuts, at most `horizon` levels ahead."""
    least = min(_FEWEST, n_levels - 1)
    if least < 2:
        return ()
    cuts = range(max(least, n_levels - _MOST_CUTS), n_levels)
    return tuple((cut, level) for cut in cuts for level in range(cut, min(cut + horizon, n_levels)))


def rehearse(
    seen: Seen, *, unit: Unit, horizon: int, names: tuple[str, ...], seed: int
) -> Rehearsal:
    """Let methods forecast the last seen levels from those before.

    Parameters
    ----------
    seen
        Groups.
    unit
        In which losses are Gaussian.
    horizon
        Levels ahead that matter, from 1.
    names
        Of methods.
    seed
        Of the part of the groups that takes part, where they are many.
    """
    if len(seen) > _SAMPLE:
        part = stream(seed, "forecast", "rehearsal").permutation(len(seen))[:_SAMPLE]
        seen = seen.rows(np.sort(part))
    pairs = make_pairs(len(seen.x), horizon)
    densities: dict[str, Floats] = {}
    errors: dict[str, Floats] = {}
    shifts: dict[str, Shifts] = {}
    for name in names:
        parts: list[Mixture | None]
        if name in HIERARCHIES:
            parts, shifts[name] = _hierarchy(seen, pairs, name, unit=unit, seed=seed)
        else:
            parts = _baseline(seen, pairs, name, unit=unit)
        if any(part is not None for part in parts):
            came = [seen.losses[:, level] for _, level in pairs]
            densities[name], errors[name] = _compare(parts, came, seen.share)
    return Rehearsal(pairs=pairs, densities=densities, mean_errors=errors, shifts=shifts)


def _hierarchy(
    seen: Seen, pairs: tuple[tuple[int, int], ...], name: str, *, unit: Unit, seed: int
) -> tuple[list[Mixture | None], Shifts]:
    fitted: dict[int, Ensemble] = {}
    found = []
    for cut, level in pairs:
        if cut not in fitted:
            fitted[cut] = fit_hierarchy(
                seen.upto(cut),
                unit=unit,
                end=float(seen.x[-1]),
                follows_use=HIERARCHIES[name],
                seed=seed,
            )
        found.append(find_shift(fitted[cut], float(seen.x[level]), seen.losses[:, level]))
    shifts = Shifts(
        found=np.array(found), gap=float(np.median(np.diff(seen.t))), square=np.zeros(0)
    )
    parts = [
        predict_shifted(fitted[cut], float(seen.x[level]), nodes=shifts.nodes(without=i))[0]
        for i, (cut, level) in enumerate(pairs)
    ]
    came = [seen.losses[:, level] for _, level in pairs]
    square = [float((p.surprise(y) ** 2).mean()) for p, y in zip(parts, came, strict=True)]
    shifts = replace(shifts, square=np.array(square))
    return [p.widened(shifts.widening(without=i)) for i, p in enumerate(parts)], shifts


def _baseline(
    seen: Seen, pairs: tuple[tuple[int, int], ...], name: str, *, unit: Unit
) -> list[Mixture | None]:
    cache: dict[tuple[str, int, float], Floats] = {}
    parts: list[Mixture | None] = []
    for cut, level in pairs:
        found = predict_baseline(name, seen.upto(cut), float(seen.x[level]), unit=unit, cache=cache)
        parts.append(None if isinstance(found, str) else found[0])
    return parts


def _compare(
    parts: list[Mixture | None], came: list[Floats], share: Floats
) -> tuple[Floats, Floats]:
    """Give log densities of what came, and errors of the mean."""
    none = np.full(len(share), -np.inf)
    both = list(zip(parts, came, strict=True))
    density = [none if p is None else p.log_density(y) for p, y in both]
    error = [np.nan if p is None else float(share @ (y - p.mean())) for p, y in both]
    return np.stack(density), np.array(error)
