"""Chinchilla's law fitted again to the points of its figure, with intervals and premature stops.

Source: arXiv:2404.10102 (Besiroglu et al. 2024): 245 points read off figure 4 of arXiv:2203.15556,
the five of highest loss left out, Huber's loss (1e-3) on log residuals, 4,000 case replicates drawn
by ``numpy.random.RandomState(42)`` as in its notebook; and the vector published in 2203.15556.
Command: ``quantascope reproduce chinchilla-refit``, 0.9 CPU-s (``--quick``: 500 replicates, 0.5).
Expected: objective at most .00101828; E 1.81722, A 477.83, B 2143.42, alpha .34731, beta .36717,
standard errors 124.5 of A and 1293 of B; 17.9 tokens a parameter at 5.76e23 FLOP; from the vector
of 2022 four of SciPy's optimisers report success, three of them 14 to 15 % above the minimum.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quantascope.laws.choosing import published
from quantascope.laws.choosing.audit import Audit, audit_params
from quantascope.laws.fitting.data import read_points
from quantascope.laws.fitting.frame import choose_frame
from quantascope.laws.fitting.objective import Objective
from quantascope.laws.fitting.resample import percentile_interval, refit
from quantascope.laws.fitting.search import search
from quantascope.laws.forms.table import find_law
from quantascope.laws.planning.allocate import optimum
from quantascope.plots.allocate import plot_refit
from quantascope.recipes.result import Check, RecipeResult

__all__ = ["QUICK", "Config", "read_chinchilla", "run"]

Floats = NDArray[np.float64]

_HERE: Final = "measured here"
_LAST: Final = "its last digit"
_EXPECTED: Final = {  # minimum, standard error, ends of the 95 % interval
    "E": (1.81722, 0.02566, 1.76935, 1.87123),
    "A": (477.83, 124.49, 286.09, 743.61),
    "B": (2143.42, 1293.2, 1042.4, 5810.4),
    "alpha": (0.34731, 0.015397, 0.31682, 0.37328),
    "beta": (0.36717, 0.020594, 0.33126, 0.41537),
}
_STOPS: Final = (0.0011633, 0.0011718, 0.00101827, 0.0011633)  # in the order of `Audit.stops`
_FIELDS: Final = ("method", "total", "objective", "success", "warning")


@dataclass(frozen=True, kw_only=True)
class Config:
    """What is fitted, and how it is resampled."""

    left_out: int = 5  # points of highest loss
    n_replicates: int = 4000
    draws: int = 42  # seed of the source's own draws
    flop: float = 5.76e23  # Chinchilla's budget


QUICK: Final = Config(n_replicates=500)


def run(config: Config, *, seed: int) -> RecipeResult:
    """Fit, resample, plan, and audit the published vectors; the source's draws fix all numbers."""
    data = read_chinchilla(left_out=config.left_out)
    law, goal = find_law("chinchilla"), Objective("huber", 1e-3)
    points = read_points(law, data, response="loss")
    frame = choose_frame(law, points, fixed={}, tied={})
    found = search(frame, points, goal)
    many = refit(frame, points, goal, theta=found.theta, cases=_source_draws(config, points.n))
    theta, rows = frame.outward(found.theta[None]), law.decode(frame.outward(many.theta))
    best = {name: float(value[0]) for name, value in law.decode(theta).items()}
    ratio = config.flop / 6 / float(optimum(law, theta, product=config.flop / 6)[0][0]) ** 2
    audits = [
        audit_params(law, data, published.CHINCHILLA_PRINTED, source="2022, as printed"),
        audit_params(law, data, published.CHINCHILLA_UNROUNDED, source="2022, not rounded"),
    ]
    stops = [stop for audit in audits for stop in audit.stops]
    table = {name: np.array([getattr(stop, name) for stop in stops]) for name in _FIELDS}
    replicates = {"replicate": np.arange(config.n_replicates), **rows}
    return RecipeResult(
        name="chinchilla-refit",
        config=config,
        seed=seed,
        checks=(
            _check("objective", 0.001018274, found.value, 6e-9, "at most .00101828", _HERE),
            _check("tokens a parameter", 17.92, ratio, 5e-3, _LAST, _HERE),
            *_fit_checks(best),
            *_spread_checks(rows, config.n_replicates),
            *_audit_checks(audits),
        ),
        tables={"replicates": replicates, "stops": table},
        draw=partial(plot_refit, replicates, best=best, published=[a.params for a in audits]),
    )


def read_chinchilla(*, left_out: int = 5) -> dict[str, Floats]:
    """Read the points: N [parameter], D [token], loss [nat], without those of highest loss."""
    text = files("quantascope").joinpath("data", "chinchilla_points.csv").read_text("utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    names = {"N": "params_N", "D": "tokens_D", "loss": "loss"}
    table = {name: np.array([float(row[c]) for row in rows]) for name, c in names.items()}
    kept = np.sort(np.argsort(-table["loss"], kind="stable")[left_out:])
    return {name: column[kept] for name, column in table.items()}


def _source_draws(config: Config, n: int) -> Floats:
    draw = np.random.RandomState(config.draws)  # noqa: NPY002  (the source's generator)
    rows = (np.bincount(draw.choice(n, n), minlength=n) for _ in range(config.n_replicates))
    return np.array(list(rows), dtype=np.float64)


def _fit_checks(best: dict[str, float]) -> Iterator[Check]:
    text = "a tenth of its standard error: the source also fits the scale of residuals"
    for name, value in best.items():
        expected, near = published.CHINCHILLA_REFIT[name], published.CHINCHILLA_REFIT_SE[name] / 10
        yield _check(name, expected, value, near, text, "arXiv:2404.10102, eq. 3")
        digit = 1.1 * 10.0 ** (-2 if name in "AB" else -5)
        yield _check(f"{name}, minimum", _EXPECTED[name][0], value, digit, _LAST, _HERE)


def _spread_checks(rows: dict[str, Floats], n: int) -> Iterator[Check]:
    """Check spreads; fewer replicates get 5 sampling errors, twice those of normal ones."""
    whole, last = n == Config.n_replicates, {"A": 0.1, "B": 0.5}  # BFGS's tolerance; last digits
    bound = "the source's last digit or tolerance" if whole else f"5 sampling errors of {n}"
    for name, values in rows.items():
        _, error, *ends = _EXPECTED[name]
        near = last.get(name, 0.005) + (0.0 if whole else 10 / np.sqrt(2 * n) * error)
        se, source = published.CHINCHILLA_REFIT_SE[name], "arXiv:2404.10102, table 1"
        yield _check(f"s.e. of {name}", se, values.std(ddof=1), near, bound, source)
        for end, obtained in zip(ends, percentile_interval(values, confidence=0.95), strict=True):
            near = 1e-4 * end if whole else 1.3 * error  # sqrt(.025 .975 / 500) / .058 = .12
            yield _check(f"end of {name}'s interval", end, obtained, near, bound, _HERE)


def _audit_checks(audits: list[Audit]) -> Iterator[Check]:
    why = "line searches differ between versions of SciPy: 2e-3"
    for stop, expected in zip(audits[1].stops, _STOPS, strict=True):
        name, near = f"{stop.method} on the {stop.total}", 2e-3 * expected
        yield _check(name, expected, stop.objective, near, why, _HERE)
    successes = sum(stop.success for stop in audits[1].stops)
    yield _check("successes reported of these four", 4, successes, 0, "a count", _HERE)
    for audit, expected in zip(audits, (3.047, 0.2091), strict=True):
        yield _check(f"excess, {audit.source}", expected, audit.excess, 1e-3, _LAST, _HERE)


def _check(name: str, expected: float, obtained: float, tolerance: float, *why: str) -> Check:
    numbers = {"expected": expected, "obtained": float(obtained), "tolerance": tolerance}
    return Check(name=name, **numbers, bound=why[0], source=why[1])
