"""How a power law breaks, told from a curve: overfitting, a noise floor, topology.

Losses of several sizes enter, a verdict with its evidence leaves; `theory.breaks` plants such
curves. Telling apart rests on two steps. First, is log L a straight line in log N? An F-test of
the quadratic and cubic terms, exact under normal noise of log L. Then, where it is bent, the law
with two powers, ``L**s = (A N**-early)**s + (B N**-late)**s``, says how: it flattens (s = 1) or
steepens (s = -1), and its late exponent is

- negative: the loss rises past a size (overfitting);
- zero: the loss tends to a constant (noise floor);
- positive, other than a positive early one: the exponent changed (topology: the cells have begun
  to resolve a discontinuity or a hole).

A steepening loss whose early exponent is negative or not told from zero has only begun to fall
(onset). A period that is not yet resolved looks like that too; the curve alone cannot say why.
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, stats

__all__ = ["BreakdownVerdict", "Verdict", "tell_breakdown"]

Verdict = Literal["power law", "overfitting", "noise floor", "topology", "onset", "not identified"]

_LEAST_POINTS: Final = 7  # a cubic takes 4 and leaves 3 degrees of freedom for the noise
_TOLERANCE: Final = 1e-12

_Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class BreakdownVerdict:
    """What a curve of loss against size does, with the evidence."""

    verdict: Verdict
    p_straight: float
    """P value of the F-test that log L is a straight line in log N."""
    p_floor: float
    """P value of the F-test that the late exponent is zero; NaN where nothing flattens."""
    early: float
    """Exponent of the small sizes, ``L ~ N ** -early``; of all sizes where it is straight."""
    late: float
    """Exponent of the large sizes; below zero the loss rises."""
    late_lo: float
    late_hi: float
    """95 % interval of `late` (`early` where it is straight), from the curvature of the fit."""
    n_turn: float
    """Size at which the two powers are equal; NaN where the curve is straight."""
    noise: float
    """Residual standard deviation of log L."""
    reason: str = ""


def tell_breakdown(
    n_params: ArrayLike, loss: ArrayLike, *, level: float = 0.01
) -> BreakdownVerdict:
    """Say whether a loss is a power law of size over its range, and if not, how it breaks.

    Parameters
    ----------
    n_params
        Sizes N, positive, at least 7 distinct ones; their order does not matter.
    loss
        Losses L, positive, equally precise in relative terms.
    level
        P value under which a straight line, or a floor, is given up; (0, .5].

    Returns
    -------
    BreakdownVerdict
        On a true power law with normal noise of log L the verdict is another one with probability
        `level`. ``"not identified"`` where there are too few points, or the late exponent is
        uncertain on both sides of zero by more than the early one's size.

    Raises
    ------
    ValueError
        If shapes differ, or a value is not finite and positive.

    Examples
    --------
    >>> N = np.geomspace(1e2, 1e8, 13)
    >>> tell_breakdown(N, N**-0.5 + 0.01).verdict
    'noise floor'
    """
    if not 0 < level <= 0.5:
        raise ValueError(f"level: {level} found; allowed are probabilities from 0 to .5")
    N, L = (np.asarray(values, dtype=np.float64) for values in (n_params, loss))
    good = np.isfinite(N) & np.isfinite(L) & (N > 0) & (L > 0) if N.shape == L.shape else False
    if N.ndim != 1 or not np.all(good):
        raise ValueError(
            f"n_params, loss: shapes {N.shape} and {L.shape}, or a value that is not finite and "
            "positive; give one positive loss a size"
        )
    if len(np.unique(N)) < _LEAST_POINTS:
        return _unknown(f"{len(np.unique(N))} distinct sizes, {_LEAST_POINTS} are needed")
    order = np.argsort(N)
    return _tell(np.log(N[order]), np.log(L[order]), level=level)


def _tell(x: _Array, y: _Array, *, level: float) -> BreakdownVerdict:
    centre, scale = x.mean(), np.ptp(x) / 2.0
    basis = np.vander((x - centre) / scale, 4, increasing=True)
    line, cubic = _residual(basis[:, :2], y), _residual(basis, y)
    p_straight = _f_test(float(line @ line), float(cubic @ cubic), 2, len(x) - 4)
    if p_straight >= level:
        return _straight(x, y, p_straight)
    flat = _two_powers(x, y, bend=1.0)
    steep = _two_powers(x, y, bend=-1.0)
    bend, fit = (1.0, flat) if flat.cost <= steep.cost else (-1.0, steep)
    n_free, p_floor = len(x) - 4, float("nan")
    if bend > 0:
        floor = _two_powers(x, y, bend=bend, late=0.0)
        p_floor = _f_test(2.0 * floor.cost, 2.0 * fit.cost, 1, n_free)
    late, half = float(fit.x[3]), _half_width(fit, 3, n_free)
    early, half_early = float(fit.x[2]), _half_width(fit, 2, n_free)
    if bend > 0:
        verdict, reason = _name_flattening(early, late, half=half, p_floor=p_floor, level=level)
    else:
        verdict, reason = _name_steepening(early, late, half=half, half_early=half_early)
    return BreakdownVerdict(
        verdict=verdict,
        p_straight=p_straight,
        p_floor=p_floor,
        early=early,
        late=late,
        late_lo=late - half,
        late_hi=late + half,
        n_turn=float(np.exp(centre + (fit.x[0] - fit.x[1]) / (early - late))),
        noise=float(np.sqrt(2.0 * fit.cost / n_free)),
        reason=reason,
    )


def _name_flattening(
    early: float, late: float, *, half: float, p_floor: float, level: float
) -> tuple[Verdict, str]:
    if _is_uncertain(early, late, half):
        return "not identified", "bent, but the exponent of the largest sizes is uncertain"
    if p_floor >= level:
        return "noise floor", "the late exponent is not told from zero"
    if late < 0:
        return "overfitting", "the loss rises at the largest sizes"
    return "topology", "the exponent falls to another positive one"


def _name_steepening(
    early: float, late: float, *, half: float, half_early: float
) -> tuple[Verdict, str]:
    if _is_uncertain(early, late, half) or not np.isfinite(half_early):
        return "not identified", "bent, but the exponent of an end is uncertain"
    if late <= half:
        return "not identified", "bent, but the loss is not seen to fall at the largest sizes"
    if early < -half_early:
        return "onset", "the loss rises at the smallest sizes before it falls"
    if early <= half_early:
        return "onset", "the early exponent is not told from zero: the loss has begun to fall"
    return "topology", "the exponent rises from another positive one"


def _is_uncertain(early: float, late: float, half: float) -> bool:
    return not np.isfinite(half) or (abs(late) < half and half > max(abs(early), abs(late)))


def _two_powers(
    x: _Array, y: _Array, *, bend: float, late: float | None = None
) -> optimize.OptimizeResult:
    """Fit ``y = s log(exp(s (a - early u)) + exp(s (b - late u)))``, u = x less its mean."""
    u = x - x.mean()

    def residual(theta: _Array) -> _Array:
        a, b, early = theta[:3]
        end = theta[3] if late is None else late
        curve: _Array = bend * np.logaddexp(bend * (a - early * u), bend * (b - end * u))
        return curve - y

    third = max(3, len(x) // 3)
    first, last = -np.polyfit(u[:third], y[:third], 1)[0], -np.polyfit(u[-third:], y[-third:], 1)[0]
    best: optimize.OptimizeResult | None = None
    for turn in np.quantile(u, [0.25, 0.5, 0.75]):
        end = last if late is None else late
        level = float(np.interp(turn, u, y))
        start = [level + first * turn, level + end * turn, first, last][: 4 if late is None else 3]
        fit = optimize.least_squares(
            residual, start, method="lm", xtol=_TOLERANCE, ftol=_TOLERANCE, max_nfev=2000
        )
        best = fit if best is None or fit.cost < best.cost else best
    assert best is not None  # three starts always ran
    return best


def _half_width(fit: optimize.OptimizeResult, index: int, n_free: int) -> float:
    """Half the 95 % interval from the Jacobian at the optimum."""
    try:
        covariance = np.linalg.inv(fit.jac.T @ fit.jac) * 2.0 * fit.cost / n_free
    except np.linalg.LinAlgError:
        return float("inf")
    return float(stats.t.ppf(0.975, n_free) * np.sqrt(max(covariance[index, index], 0.0)))


def _straight(x: _Array, y: _Array, p_straight: float) -> BreakdownVerdict:
    line = stats.linregress(x, y)
    n_free = len(x) - 2
    half = float(stats.t.ppf(0.975, n_free) * line.stderr)
    residual = _residual(np.vander(x - x.mean(), 2), y)
    nan, slope = float("nan"), -float(line.slope)
    return BreakdownVerdict(
        verdict="power law",
        p_straight=p_straight,
        p_floor=nan,
        early=slope,
        late=slope,
        late_lo=slope - half,
        late_hi=slope + half,
        n_turn=nan,
        noise=float(np.sqrt(residual @ residual / n_free)),
    )


def _unknown(reason: str) -> BreakdownVerdict:
    nan = float("nan")
    return BreakdownVerdict(
        verdict="not identified",
        p_straight=nan,
        p_floor=nan,
        early=nan,
        late=nan,
        late_lo=nan,
        late_hi=nan,
        n_turn=nan,
        noise=nan,
        reason=reason,
    )


def _residual(basis: _Array, y: _Array) -> _Array:
    residual: _Array = y - basis @ np.linalg.lstsq(basis, y, rcond=None)[0]
    return residual


def _f_test(small: float, large: float, n_more: int, n_free: int) -> float:
    """P value of a smaller model (its sum of squares) inside a larger one."""
    rounding = 1e-24 * n_free  # sums of squares below this are rounding of logs near 1e1
    statistic = max(small - large, 0.0) / n_more / ((large + rounding) / n_free)
    return float(stats.f.sf(statistic, n_more, n_free))
