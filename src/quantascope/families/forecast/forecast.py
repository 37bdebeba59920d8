"""Forecast what groups will lose at sizes or steps to come, and whether they are learned by then.

In goes what was seen (`Seen`), out comes a predictive distribution for each group and target, the
probability that the loss is below a threshold, and the mean loss. What is forecast is the mean
over as many runs as stand behind the last level.

References
----------
Michaud et al., arXiv:2303.13506 (order of learning by use); Nam et al., arXiv:2404.17563 (one
skill calibrates the rest).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike

from quantascope.families.forecast.baselines import BASELINES, predict_baseline
from quantascope.families.forecast.combine import PRIOR, pool_weights
from quantascope.families.forecast.learning import fit_hierarchy
from quantascope.families.forecast.mixture import Mixture, Unit, gaussian, join
from quantascope.families.forecast.rehearsal import HIERARCHIES, Rehearsal, rehearse
from quantascope.families.forecast.seen import Floats, Seen, check_targets
from quantascope.families.forecast.shared import predict_shifted

__all__ = [
    "DEFAULT",
    "METHODS",
    "Forecast",
    "choose_unit",
    "default_threshold",
    "forecast",
    "forecasts",
]

METHODS: Final = ("mixed", *HIERARCHIES, *BASELINES)
"""Names of methods; "mixed" is a pool of `quantascope.families.forecast.combine.PRIOR`."""
DEFAULT: Final = "mixed"

_PSEUDO: Final = 2.0
"""Rehearsed levels that the model's own error of the mean counts as."""
_VAGUE: Final = 0.5
"""Weight of "may stay or be learned" where nothing could be rehearsed."""
_OFFSET: Final = 0.5  # of the 5 % quantile of losses
_LEAST_OFFSET: Final = 1e-4  # [nat]
_BEST: Final = 0.1  # share of groups that show what a learned one loses
_QUANTILES: Final = {"p5": 0.05, "p50": 0.5, "p95": 0.95}


@dataclass(frozen=True, kw_only=True, eq=False)
class Forecast:
    """What groups will lose."""

    targets: Floats
    """Sizes or steps, ascending, axis ``target``."""
    groups: tuple[Mixture, ...]
    """Distribution of each group's loss, one a target."""
    mean: tuple[Mixture, ...]
    """Distribution of the mean loss over groups, weighted by use; one row, one a target."""
    threshold: Floats
    """Loss below which a group counts as learned [nat], axis ``group``."""
    method: str
    unit: Unit
    weights: dict[str, float]
    """Share of each method in the pool; empty for a single one."""
    notes: tuple[str, ...]
    """What the widths rest on, and what could not be used."""

    def learned(self) -> Floats:
        """Give the probability that a group is learned at a target, axes ``group target``."""
        return np.stack([m.cdf(self.threshold) for m in self.groups], axis=1)

    def to_table(self) -> pa.Table:
        """Make a table with a row a target and group: quantiles, probability, components."""
        parts = [self._rows(i) for i in range(len(self.targets))]
        return pa.concat_tables(parts)

    def _rows(self, at: int) -> pa.Table:
        mixture, n = self.groups[at].trimmed(), len(self.threshold)
        columns = {
            "target": np.full(n, self.targets[at]),
            "group": np.arange(n),
            "mean_nats": mixture.mean(),
            "spread_nats": mixture.spread(),
        }
        columns |= {f"{name}_nats": mixture.quantile(q) for name, q in _QUANTILES.items()}
        columns |= {"threshold_nats": self.threshold, "p_learned": mixture.cdf(self.threshold)}
        kept = mixture.weight > 0
        lists = {
            name: pa.array([row[keep] for row, keep in zip(values, kept, strict=True)])
            for name, values in (
                ("weight", mixture.weight),
                ("location", mixture.location),
                ("scale", mixture.scale),
            )
        }
        return pa.table(columns | lists)


def forecast(
    seen: Seen,
    targets: ArrayLike,
    *,
    method: str = DEFAULT,
    threshold: ArrayLike | None = None,
    unit: Unit | None = None,
    seed: int = 0,
) -> Forecast:
    """Forecast the losses of groups.

    Parameters
    ----------
    seen
        Groups at the levels seen.
    targets
        Sizes or steps beyond the last.
    method
        One of `METHODS`.
    threshold
        Loss below which a group is learned [nat]: one for all, or one a group. None takes
        `default_threshold`.
    unit
        In which losses are Gaussian; None takes what `choose_unit` finds.
    seed
        Of parts of the groups that are drawn where they are many.

    Returns
    -------
    Forecast
        Intervals include chance of runs and error of the method, both as measured by letting it
        forecast the last seen levels (`notes` say where levels were too few for that).

    Raises
    ------
    ValueError
        If an argument is out of its range, or a baseline cannot be had from so few levels.

    Examples
    --------
    >>> from quantascope.families.series import Series
    >>> from quantascope.families.forecast.seen import see
    >>> x = np.geomspace(1e5, 1e7, 5)
    >>> losses = 1 + 3 * (x / 1e5) ** -np.linspace(0.2, 0.8, 40)[:, None]
    >>> place = np.arange(5)
    >>> seen = see(Series(scale="n_params", x=x, losses=losses, level=place, run=place))
    >>> found = forecast(seen, 3e7)
    >>> bool(np.abs(found.groups[0].quantile(0.5)[-1] - 1.03) < 0.05)
    True
    """
    return forecasts(seen, targets, methods=(method,), threshold=threshold, unit=unit, seed=seed)[
        method
    ]


def forecasts(
    seen: Seen,
    targets: ArrayLike,
    *,
    methods: tuple[str, ...] = METHODS,
    threshold: ArrayLike | None = None,
    unit: Unit | None = None,
    seed: int = 0,
) -> dict[str, Forecast]:
    """Forecast by several methods at once, which rehearses each but once.

    Arguments as `forecast`. A method that levels are too few for is left out where it is not the
    only one.
    """
    unknown = [name for name in methods if name not in METHODS]
    if unknown or not methods:
        raise ValueError(f"method: {unknown} found; allowed are {', '.join(METHODS)}")
    wanted = check_targets(seen, targets)
    limit = _threshold(seen, threshold)
    unit = choose_unit(seen, seed=seed) if unit is None else unit
    single = {name for name in methods if name != "mixed"} | (
        set(PRIOR) if "mixed" in methods else set()
    )
    names = tuple(name for name in METHODS if name in single)
    ahead = float(np.log(wanted[-1]) - seen.t[-1])
    horizon = max(1, int(np.ceil(ahead / float(np.median(np.diff(seen.t))) - 0.25)))
    tried = rehearse(seen, unit=unit, horizon=horizon, names=names, seed=seed)
    desk = _Desk(seen, unit, tried, wanted, seed)
    answers = {name: desk.answer(name) for name in names}
    refused = {name: each for name, each in answers.items() if isinstance(each, str)}
    if refused and set(methods) <= set(refused):
        name = methods[0]
        raise ValueError(f"method: {name} found; {refused[name]}; add levels or take another")
    found = {}
    for method in methods:
        weights = _weights(tried, set(refused)) if method == "mixed" else {method: 1.0}
        if set(weights) & set(refused):
            continue
        notes = _remarks(seen, tried)
        notes += [f"{n}: {refused[n]}" for n in PRIOR if method == "mixed" and n in refused]
        shares = np.array(list(weights.values()))
        good = [answers[n] for n in weights]
        notes += [note for each in good for note in each.notes]  # type: ignore[union-attr]
        found[method] = Forecast(
            targets=wanted,
            groups=tuple(
                join([each.groups[i] for each in good], shares).compact()  # type: ignore[union-attr]
                for i in range(len(wanted))
            ),
            mean=tuple(
                join([each.mean[i] for each in good], shares)  # type: ignore[union-attr]
                for i in range(len(wanted))
            ),
            threshold=limit,
            method=method,
            unit=unit,
            weights=weights if method == "mixed" else {},
            notes=tuple(notes),
        )
    return found


def _weights(tried: Rehearsal, refused: set[str]) -> dict[str, float]:
    """Give the shares of the pool; the prior's where nothing was rehearsed."""
    known = {n: d for n, d in tried.densities.items() if n in PRIOR and n not in refused}
    if tried.pairs and known:
        return pool_weights(known)
    left = {name: weight for name, weight in PRIOR.items() if name not in refused}
    return {name: weight / sum(left.values()) for name, weight in left.items()}


@dataclass(frozen=True)
class _Answer:
    """Distributions of groups and of the mean, by target."""

    groups: list[Mixture]
    mean: list[Mixture]
    notes: list[str]


@dataclass(frozen=True)
class _Desk:
    """Where methods answer."""

    seen: Seen
    unit: Unit
    tried: Rehearsal
    targets: Floats
    seed: int

    def answer(self, name: str) -> "_Answer | str":
        """Ask one method; a text says why it cannot."""
        return self._hierarchy(name) if name in HIERARCHIES else self._baseline(name)

    def _hierarchy(self, name: str) -> "_Answer":
        found = fit_hierarchy(
            self.seen,
            unit=self.unit,
            end=float(self.targets[-1]),
            follows_use=HIERARCHIES[name],
            seed=self.seed,
        )
        shared = self.tried.shifts[name]
        groups, means = [], []
        share = self.seen.share
        for target in self.targets.tolist():
            whole, parts = predict_shifted(
                found, target, nodes=shared.nodes(), widening=shared.widening()
            )
            by_node = np.array([share @ part.mean() for part in parts])
            own = float(np.mean([share**2 @ part.variance() for part in parts]))
            variance = by_node.var() + own
            if not self.tried.pairs:
                vague = _vague(self.seen, self.unit)
                whole = join([whole, vague], np.array([1 - _VAGUE, _VAGUE]))
                variance += _VAGUE * float(share @ np.sqrt(vague.variance())) ** 2
            groups.append(whole)
            means.append(self._mean(name, by_node.mean(), variance, target))
        return _Answer(groups, means, [])

    def _baseline(self, name: str) -> "_Answer | str":
        groups, means = [], []
        notes: list[str] = []
        cache: dict[tuple[str, int, float], Floats] = {}
        for target in self.targets.tolist():
            found = predict_baseline(name, self.seen, target, unit=self.unit, cache=cache)
            if isinstance(found, str):
                return found
            if found[1]:
                notes.append(f"{name} at {target:g}: {found[1]}")
            groups.append(found[0])
            spread = float(self.seen.share @ np.sqrt(found[0].variance()))  # all err together
            means.append(
                self._mean(name, float(self.seen.share @ found[0].mean()), spread**2, target)
            )
        return _Answer(groups, means, notes)

    def _mean(self, name: str, location: float, variance: float, target: float) -> Mixture:
        """Weigh a method's own error of the mean against those of the rehearsal."""
        t = self.seen.t
        errors = self.tried.mean_errors.get(name, np.zeros(0))
        known = np.isfinite(errors)
        wanted = np.log(target) - t[-1]
        gone = np.array([t[level] - t[cut - 1] for cut, level in self.tried.pairs])[: len(errors)]
        square = float((errors[known] ** 2 * wanted / gone[known]).sum())
        errors = errors[known]
        total = (_PSEUDO * variance + square) / (_PSEUDO + len(errors))
        return gaussian(np.array([location]), np.sqrt(max(total, 1e-12)), unit=Unit())


def _vague(seen: Seen, unit: Unit) -> Mixture:
    """Say that a group may stay or be learned: all that too few levels can tell."""
    now = unit.forward(seen.losses[:, -1])
    best = np.quantile(now, _BEST)
    usual = float(np.sqrt(((now - unit.forward(seen.losses[:, -2])) ** 2).mean()))
    reach = np.abs(now - best) / 2
    return gaussian((now + best) / 2, np.sqrt(reach**2 + usual**2 + 1e-18), unit=unit)


def choose_unit(seen: Seen, *, seed: int = 0) -> Unit:
    """Find in what losses are Gaussian: nats, or logarithms, by the likelihood of what was seen.

    Losses that come near 0 scatter in proportion; others do not.
    """
    y = seen.losses
    offset = max(_OFFSET * float(np.quantile(y, 0.05)), _LEAST_OFFSET)
    if y.min() <= -offset / 2:
        return Unit()
    end = float(seen.x[-1])
    units = (Unit(), Unit(offset=offset))
    return max(
        units,
        key=lambda unit: (
            fit_hierarchy(
                seen, unit=unit, end=end, follows_use=False, seed=seed, alone=True
            ).log_likelihood
        ),
    )


def default_threshold(seen: Seen) -> Floats:
    """Give the loss below which each group counts as learned, where none is given [nat].

    Half-way from its loss at the first level to what the best tenth of all groups loses at the
    last; it does not move when more is seen of a group, but does when levels are added.
    """
    y = seen.losses
    return np.asarray((y[:, 0] + np.quantile(y[:, -1], _BEST)) / 2)


def _threshold(seen: Seen, given: ArrayLike | None) -> Floats:
    if given is None:
        return default_threshold(seen)
    limit = np.asarray(given, dtype=np.float64)
    if limit.shape not in ((), (len(seen),)) or not (np.isfinite(limit) & (limit > 0)).all():
        raise ValueError(
            f"threshold: {limit.shape} with a least value of {limit.min():g} found; allowed: one "
            "number above 0, or one a group [nat]"
        )
    return np.broadcast_to(limit, (len(seen),)).copy()


def _remarks(seen: Seen, tried: Rehearsal) -> list[str]:
    n_levels, n_pairs = len(seen.x), len(tried.pairs)
    notes = []
    if not n_pairs:
        notes.append(f"{n_levels} levels seen: none could be hidden, widths rest on priors")
    elif n_levels < 4:
        notes.append(f"{n_levels} levels seen: widths rest on {n_pairs} hidden level")
    if int(seen.series.n_runs.max()) == 1:
        notes.append("one run a level: chance of runs is told from how levels scatter")
    return notes
