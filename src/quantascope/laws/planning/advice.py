"""Around a plan: intervals for a fit that has none yet, and what a reader must be warned of."""

from collections.abc import Sequence
from typing import Final

from quantascope.core.errors import DataError
from quantascope.core.progress import Advance, ignore_progress
from quantascope.laws.fitting.fit import NOT_STATED, fit
from quantascope.laws.fitting.result import LawFit
from quantascope.laws.fitting.uncertainty import Bootstrap
from quantascope.laws.forms.law import Floats
from quantascope.laws.planning.allocate import Plan
from quantascope.laws.planning.optimum import end_of_line

__all__ = ["plan_warnings", "with_replicates"]

_FAR: Final = 10.0
"""A budget this many times beyond the data is far."""
_FEW: Final = 100


def with_replicates(
    found: LawFit, *, n: int = 1000, seed: int = 0, advance: Advance = ignore_progress
) -> LawFit:
    """Give a fit bootstrap replicates, by fitting its own points again, if it has none.

    Parameters
    ----------
    found
        A fit that keeps its points.
    n
        Replicates, at least 100; groups are drawn whole where the fit has groups.
    seed
        Of the resampling.
    advance
        Told of finished replicates.

    Raises
    ------
    DataError
        If the fit has neither replicates nor points.
    """
    if found.replicates is not None:
        return found
    if found.points is None:
        raise DataError(
            f"fit of {found.law}: neither replicates nor points are kept, so a plan has no "
            "interval; make it again with `quantascope fit --bootstrap 1000 --json`"
        )
    points, law = found.points, found.row
    columns: dict[str, Floats] = dict(zip(law.inputs, points.inputs, strict=True))
    stated = {name: words or NOT_STATED for name, words in found.meaning.items()}
    return fit(
        law,
        {**columns, found.response: points.response},
        response=found.response,
        objective=found.objective_name,  # type: ignore[arg-type]
        delta=found.delta,
        above=found.above,
        fixed=found.fixed,
        tied=found.tied,
        group=points.groups,
        weights=points.weights,
        meaning=stated,
        bootstrap=Bootstrap(n=n, kind="case" if points.groups is None else "cluster", seed=seed),
        confidence=found.confidence,
        advance=advance,
    )


def plan_warnings(found: LawFit, plans: Sequence[Plan]) -> tuple[str, ...]:
    """List what makes plans doubtful: extrapolation, identification, the meaning of N.

    Returns
    -------
    tuple[str, ...]
        One line each; empty where nothing is known against the plans.
    """
    said = [line for plan in plans for line in _of_plan(found, plan)]
    if not found.converged:
        said.append("the fit did not converge")
    said += [f"{name} is not identified: {why}" for name, why in found.not_identified.items()]
    meaning = found.meaning.get("N", "")
    if not meaning or meaning == NOT_STATED:
        said.append(
            "what N counts is not stated: with and without embedding parameters the optimum "
            "differs; fit again with --meaning N='non-embedding parameters' or such"
        )
    elif "embed" not in meaning.lower() and "total" not in meaning.lower():
        said.append(
            f"N is {meaning!r}: with or without embedding parameters? 6 N D counts what N counts"
        )
    said += [
        f"{plan.flop:.3g} FLOP: {plan.share_without:.0%} of the bootstrap has no optimum"
        + ("" if plan.intervals else ", so there is no interval")
        for plan in plans
        if plan.share_without > 0
    ]
    if found.replicates is None:
        said.append("no bootstrap replicates: the plan has no intervals")
    elif len(found.replicates) < _FEW:
        said.append(f"only {len(found.replicates)} bootstrap replicates: intervals are coarse")
    return tuple(said)


def _of_plan(found: LawFit, plan: Plan) -> list[str]:
    budget = f"{plan.flop:.3g} FLOP"
    if not plan.interior:
        end = end_of_line(plan.n_params, plan.n_tokens)
        return [f"{budget}: the loss is nowhere lower than with {end}, nothing between is optimal"]
    beyond = []
    for name, value in (("N", plan.n_params), ("D", plan.n_tokens)):
        least, most = found.ranges[name]
        if value > most:
            beyond.append(f"{name} {value / most:.3g} times above the largest fitted")
        if value < least:
            beyond.append(f"{name} {least / value:.3g} times below the smallest fitted")
    said = []
    if plan.reach > 1 or beyond:
        far = "far extrapolated" if plan.reach > _FAR else "extrapolated"
        said.append(
            f"{budget}: {far}, {plan.reach:.3g} times the largest budget fitted"
            + (f"; {'; '.join(beyond)}" if beyond else "")
        )
    return said
