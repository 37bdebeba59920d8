"""Exponents of the mean loss beside those that the frequencies of use predict.

A series of mean losses and an exponent of use enter; leaves the measured exponent with and without
a floor, the Quantization Model's prediction for endlessly and for finitely many quanta, and whether
they agree. A prediction from a slope that is not calibrated is shown and never judged.

References
----------
arXiv:2303.13506, section 2: p_k ~ k^-(alpha+1) gives alpha_N = alpha and
alpha_S = alpha_D = alpha / (1 + alpha).
"""

from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from quantascope.families.series import Series
from quantascope.laws.fitting.fit import fit
from quantascope.laws.fitting.result import LawFit
from quantascope.laws.powerlaw import PowerLawFit, fit_power_law
from quantascope.theory.finite import fitted_exponent
from quantascope.theory.resources import QuantaModel, exponents

__all__ = [
    "Measured",
    "Predicted",
    "UseExponent",
    "compare",
    "measure_exponent",
    "predict_exponent",
]

Floats = NDArray[np.float64]
Name = Literal["alpha_N", "alpha_S", "alpha_D"]
Verdict = Literal["agree", "differ", "not judged"]

NAMES: Final[dict[str, Name]] = {"n_params": "alpha_N", "step": "alpha_S", "n_unique": "alpha_D"}
"""By the scale of a series."""

_CONFIDENCE: Final = 0.95
_FEWEST: Final = 3
_FEWEST_FLOOR: Final = 5  # three parameters and two points that can contradict them
_NO_FLOOR: Final = 1e-6  # of the least loss; a floor of the law must be positive
_MOST_TASKS: Final = 1e12  # of the law
_MOST_RHO: Final = 0.98
_FEWEST_FOLLOWING: Final = 12  # points from which the bias of their correlation is taken out


@dataclass(frozen=True, kw_only=True)
class UseExponent:
    """Exponent alpha of the use frequencies, with interval; `zipf_exponent` is alpha + 1."""

    alpha: float
    lo: float
    hi: float
    calibrated: bool
    """Whether the bias of its estimator is known and taken out, or there is none."""
    source: str
    """What it was read from."""
    n_tasks: float = np.inf
    """Number of quanta, or of groups found, which are no more."""
    loss_before: float = float("nan")
    """Mean loss with nothing learned [nat]; NaN where it is not known. Fitted beside the constant
    it would follow any curve, so there is no finite prediction without it."""
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class WithFloor:
    """Exponent of ``L = E + A x^-exponent``; NaN where it is not identified."""

    floor: float = float("nan")
    """E [nat]."""
    exponent: float = float("nan")
    lo: float = float("nan")
    """Lower end of the exponent's 95 % interval."""
    hi: float = float("nan")
    reason: str = ""
    """Why the floor is not identified; empty where it is."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Exponent of a mean loss ``L ~ x^-exponent``, without and with a floor."""

    name: Name
    exponent: float
    lo: float
    """Lower end of the 95 % interval; NaN where there is none."""
    hi: float
    method: str
    identified: bool
    reason: str
    with_floor: WithFloor
    x_lo: float
    x_hi: float
    n_levels: int


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """What the Quantization Model predicts for one exponent from the use frequencies."""

    exponent: float
    """For endlessly many quanta."""
    lo: float
    hi: float
    finite: float
    """What a straight line through the loss of finitely many gives over these amounts."""
    finite_lo: float
    finite_hi: float
    constant: float
    """Parameters, samples or steps times frequency that one quantum takes, fitted; NaN without."""
    scatter: float
    """Root mean square of ln(loss / finite prediction)."""
    calibrated: bool
    source: str
    reason: str


def measure_exponent(series: Series) -> Measured:
    """Fit the exponent of a mean loss.

    Parameters
    ----------
    series
        Mean losses [nat], one row; the levels that shall be fitted.

    Returns
    -------
    Measured
        Least squares in logs. Over sizes through the means of runs, Student's interval about the
        line; along steps the mean of the runs' exponents with Student's interval over runs, where
        there are two or more. With a floor: `quantascope.laws.fit` ("floor"), from five levels on;
        not identified where its interval reaches no floor, or the profile does not close.

    Raises
    ------
    ValueError
        If the series has several rows.
    """
    if len(series.losses) != 1:
        raise ValueError(f"series: {len(series.losses)} rows found; give one, the mean loss")
    mean = series.level_means()[0]
    line = _line(series, np.asarray(series.losses[0], dtype=np.float64), mean)
    return Measured(
        name=NAMES[series.scale],
        exponent=-line.exponent,
        lo=-line.hi,
        hi=-line.lo,
        method=line.method,
        identified=line.identified,
        reason=line.reason,
        with_floor=_with_floor(series.x, mean),
        x_lo=float(series.x[0]),
        x_hi=float(series.x[-1]),
        n_levels=len(series.x),
    )


def _line(series: Series, loss: Floats, mean: Floats) -> PowerLawFit:
    pooled = fit_power_law(series.x, mean, min_points=_FEWEST)
    runs = np.unique(series.run)
    if not (series.tracked and pooled.identified):
        return pooled
    if len(runs) < 2:
        return _widened(pooled, series.x, mean)
    each = np.array(
        [fit_power_law(series.x[series.level[r]], loss[r]).exponent for r in _columns(series, runs)]
    )
    half = stats.t.ppf(0.5 + _CONFIDENCE / 2, len(each) - 1) * each.std(ddof=1) / len(each) ** 0.5
    middle = float(each.mean())
    how = f"least squares in logs, t interval over {len(each)} runs"
    return replace(
        pooled, exponent=middle, lo=float(middle - half), hi=float(middle + half), method=how
    )


def _widened(line: PowerLawFit, x: Floats, mean: Floats) -> PowerLawFit:
    """Widen the interval of a line through one run, whose points follow each other.

    By ``sqrt((1 + rho) / (1 - rho))``, rho the correlation of neighbouring residuals with its bias
    taken out (to first order, a trend fitted: ``-(2 + 4 rho) / n``), with Student's quantile for
    ``n (1 - rho) / (1 + rho)`` points. Too narrow for a curve that wanders without return.
    """
    n = len(x)
    off = np.log(mean) - np.log(line.prefactor) - line.exponent * np.log(x)
    squares = float(off @ off)
    rho = float(off[1:] @ off[:-1]) / squares if squares > 0 else 0.0
    if n >= _FEWEST_FOLLOWING:
        rho = (n * rho + 2) / (n - 4)
    rho = min(max(rho, 0.0), _MOST_RHO)
    free = max(n * (1 - rho) / (1 + rho) - 2, 1.0)
    wide, plain = (float(stats.t.ppf(0.5 + _CONFIDENCE / 2, dof)) for dof in (free, n - 2))
    half = (line.hi - line.lo) / 2 * np.sqrt((1 + rho) / (1 - rho)) * wide / plain
    return replace(
        line,
        lo=float(line.exponent - half),
        hi=float(line.exponent + half),
        method=f"least squares in logs, one run; t interval widened for correlation {rho:.2f}",
    )


def _columns(series: Series, runs: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [np.flatnonzero(series.run == run) for run in runs]


def _with_floor(x: Floats, mean: Floats) -> WithFloor:
    """Fit a power law with a floor, or say why not."""
    if len(x) < _FEWEST_FLOOR:
        return WithFloor(reason=f"{len(x)} levels; {_FEWEST_FLOOR} are needed")
    if not (mean > 0).all():
        return WithFloor(reason="a mean loss of 0")
    found = fit("floor", {"x": x, "loss": mean}, objective="lsq-log")
    reason = _why_no_floor(found)
    if reason:
        return WithFloor(reason=reason)
    lo, hi = found.interval("alpha")
    return WithFloor(
        floor=found.params["E"], exponent=found.params["alpha"], lo=float(lo), hi=float(hi)
    )


def _why_no_floor(found: LawFit) -> str:
    if not found.converged:
        return "the fit did not converge"
    if not found.identified:
        name, why = next(iter(found.not_identified.items()))
        return f"{name}: {why}"
    if not np.isfinite(found.interval("alpha")).all():
        return "the interval does not close"
    return ""


def predict_exponent(use: UseExponent, series: Series, *, name: Name | None = None) -> Predicted:
    """Predict the exponent of a mean loss from the frequencies of use.

    With finitely many quanta the loss is ``Delta sum_(n<k<=n_tasks) p_k``, which is steeper than
    ``n^-alpha``; its constant is fitted to the series, alpha and Delta held; then a straight line
    is put through it as through the data.

    Parameters
    ----------
    use
        Exponent of the frequencies.
    series
        Mean losses [nat], one row, as for `measure_exponent`.
    name
        Exponent that is wanted; None takes that of the series' scale.
    """
    name = name or NAMES[series.scale]
    nan = float("nan")
    values = np.array([use.alpha, use.lo, use.hi])
    if not use.alpha > 0:
        reason = f"alpha = {use.alpha:.3g} is not above 0: frequencies fall too slowly to sum"
        reason += f" ({use.reason})" if use.reason else ""
        return Predicted(
            exponent=nan, lo=nan, hi=nan, finite=nan, finite_lo=nan, finite_hi=nan, constant=nan,
            scatter=nan, calibrated=use.calibrated, source=use.source, reason=reason,
        )  # fmt: skip
    ends = np.where(values > 0, values, np.nan)
    endless = [_endless(value, name) for value in ends]
    finite = [_finite(use.alpha, use, series, name)] * 3
    if not use.lo == use.alpha == use.hi:
        finite[1:] = [_finite(value, use, series, name) for value in ends[1:]]
    return Predicted(
        exponent=endless[0],
        lo=0.0 if values[1] <= 0 else endless[1],
        hi=endless[2],
        finite=finite[0][0],
        finite_lo=float(np.fmin(finite[0][0], finite[1][0])),
        finite_hi=float(np.fmax(finite[0][0], finite[2][0])),
        constant=finite[0][1],
        scatter=finite[0][2],
        calibrated=use.calibrated,
        source=use.source,
        reason=use.reason,
    )


def _endless(alpha: float, name: Name) -> float:
    if np.isfinite(alpha):
        return float(getattr(exponents(alpha), name))
    if np.isnan(alpha):
        return float("nan")
    return float("inf") if name == "alpha_N" else 1.0  # an open end


def _finite(
    alpha: float, use: UseExponent, series: Series, name: Name
) -> tuple[float, float, float]:
    """Give the finite exponent, its constant, and how far the curve lies off the theory's."""
    nothing = (float("nan"),) * 3
    loss = series.level_means()[0]
    known = np.isfinite([alpha, use.loss_before]).all() and 2 < use.n_tasks < _MOST_TASKS
    if not known or len(loss) < _FEWEST or not (loss > 0).all():
        return nothing
    law, amount, constant = (
        ("quanta-finite-N", "N", "C") if name == "alpha_N" else ("quanta-finite-D", "D", "tau")
    )
    held = {"E": _NO_FLOOR * loss.min(), "alpha": alpha, "n_tasks": float(use.n_tasks)}
    held["Delta"] = use.loss_before
    found = fit(law, {amount: series.x, "loss": loss}, objective="lsq-log", fixed=held)
    model = QuantaModel(
        alpha=alpha,
        n_tasks=use.n_tasks,
        b=use.loss_before,
        capacity=found.params[constant] if name == "alpha_N" else 1.0,
        threshold=1.0 if name == "alpha_N" else found.params[constant],
    )
    slope = fitted_exponent(model, "N" if name == "alpha_N" else "D", series.x)
    off = np.log(loss / found.predict({amount: series.x}))
    return slope, float(found.params[constant]), float(np.sqrt((off**2).mean()))


def compare(measured: Measured, predicted: Predicted, *, finite: bool = False) -> Verdict:
    """Say whether a measured and a predicted exponent agree: their 95 % intervals meet.

    Parameters
    ----------
    measured, predicted
        Of the same loss.
    finite
        Hold the prediction for finitely many quanta against it.

    Returns
    -------
    str
        "not judged" where either has no interval, the measured one does not tell the exponent from
        0, or the prediction is not calibrated.
    """
    ends = (predicted.finite_lo, predicted.finite_hi) if finite else (predicted.lo, predicted.hi)
    known = not np.isnan([measured.lo, measured.hi, *ends]).any()
    if not (known and measured.identified and measured.lo > 0 and predicted.calibrated):
        return "not judged"
    return "agree" if measured.lo <= ends[1] and ends[0] <= measured.hi else "differ"
