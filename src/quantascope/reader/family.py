"""What a family shows at a glance, and what cannot be said and why.

Enter: a run whose curves stand, with or without clusters. Leaves one frozen result: loss by size
with its fit, share solved, sharp and gradual.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import pandas as pd

from quantascope.core.errors import DataError
from quantascope.families.shares import wilson_interval
from quantascope.laws.powerlaw import PowerLawFit, fit_power_law
from quantascope.reader.curves import read_curves, read_distribution
from quantascope.reader.families import run_emergence
from quantascope.reader.genicity import run_genicity
from quantascope.store.folder import RunFolder
from quantascope.store.status import stage_status

__all__ = ["FamilyFindings", "family_findings"]

_FEWEST_SIZES: Final = 3
_TOKENS_PER_PARAMETER: Final = 20.0
"""Below this many training tokens a parameter a size is short of data, arXiv:2203.15556."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FamilyFindings:
    """A family's losses by size and what follows."""

    sizes: pd.DataFrame
    """A row a size, each run at its last step: n_params, n_runs, step, tokens_per_param,
    mean_loss_nats, sd_nats (between runs), share_solved with lo and hi."""
    n_checkpoints: int
    n_predictions: int
    fit: PowerLawFit
    """Of mean loss in size; not identified with fewer than three sizes."""
    classes: dict[str, int] | None
    """Sampled predictions by class, where seeds allow the test."""
    picks: dict[str, dict[str, int]]
    """By seed, what the paper's rules pick of the sample."""
    clusters: dict[str, int] | None
    """Clusters in all and those that change with size, where the run has clusters."""
    not_said: tuple[str, ...]
    """What cannot be said, and why."""
    noticed: tuple[str, ...]
    """What looks odd about the checkpoints."""

    def as_dict(self) -> dict[str, Any]:
        """Give all as plain values, for JSON."""
        fit = self.fit
        return {
            "n_checkpoints": self.n_checkpoints,
            "n_predictions": self.n_predictions,
            "sizes": self.sizes.astype(object).where(self.sizes.notna(), None).to_dict("records"),
            "alpha_N": {
                "estimate": -fit.exponent,
                "lo": -fit.hi,
                "hi": -fit.lo,
                "r2": fit.r2,
                "n_points": fit.n_points,
                "identified": fit.identified,
                "reason": fit.reason,
                "method": fit.method,
            },
            "classes": self.classes,
            "picks": self.picks,
            "clusters": self.clusters,
            "not_said": list(self.not_said),
            "noticed": list(self.noticed),
        }


def family_findings(run: RunFolder, *, level: float = 0.05, seed: int = 0) -> FamilyFindings:
    """Read what a family shows.

    Parameters
    ----------
    run
        A run whose curves stand.
    level
        Share of false claims allowed among sharp and gradual.
    seed
        Of shuffles and simulated curves.

    Raises
    ------
    ArtefactError, DataError
        If there are no curves, or the run has one checkpoint.
    """
    read_curves(run, which="selected")  # refuses what makes no family
    models, found = read_distribution(run)
    models["share_solved"] = found.share_solved()
    sizes = _by_size(models, found.n_preds)
    not_said: list[str] = []
    loss = sizes["mean_loss_nats"].to_numpy()
    fit = fit_power_law(sizes["n_params"].to_numpy(), loss, min_points=_FEWEST_SIZES)
    if not fit.identified:
        not_said.append(f"alpha_N: {len(sizes)} size(s); a fit with an interval needs three")
    short = sizes["tokens_per_param"] < _TOKENS_PER_PARAMETER
    if short.any() and fit.identified:
        not_said.append(
            f"alpha_N at infinite data: {int(short.sum())} of {len(sizes)} sizes saw fewer than "
            f"{_TOKENS_PER_PARAMETER:g} tokens a parameter"
        )
    classes, picks = _genicity(run, level=level, seed=seed, not_said=not_said)
    return FamilyFindings(
        sizes=sizes,
        n_checkpoints=len(models),
        n_predictions=found.n_preds,
        fit=fit,
        classes=classes,
        picks=picks,
        clusters=_clusters(run, seed=seed, not_said=not_said),
        not_said=tuple(not_said),
        noticed=tuple(_noticed(models)),
    )


def _by_size(models: pd.DataFrame, n_preds: int) -> pd.DataFrame:
    """Average the last checkpoints of the runs of each size."""
    last = models.sort_values("step").groupby(["n_params", models["seed"].fillna(0)]).tail(1)
    sizes = last.groupby("n_params").agg(
        n_runs=("name", "size"),
        step=("step", "max"),
        n_tokens=("n_tokens", "mean"),
        mean_loss_nats=("mean_loss_nats", "mean"),
        sd_nats=("mean_loss_nats", "std"),
        share_solved=("share_solved", "mean"),
    )
    sizes = sizes.reset_index()
    sizes["tokens_per_param"] = sizes.pop("n_tokens") / sizes["n_params"]
    lo, hi = wilson_interval(sizes["share_solved"].to_numpy(), n_preds)
    return sizes.assign(share_lo=lo, share_hi=hi)


def _genicity(
    run: RunFolder, *, level: float, seed: int, not_said: list[str]
) -> tuple[dict[str, int] | None, dict[str, dict[str, int]]]:
    try:
        found = run_genicity(run, level=level, seed=seed)
    except DataError as error:
        not_said.append(f"sharp and gradual: {error}")
        return None, {}
    facts = found.as_dict()
    if found.classes is None:
        not_said.append(f"sharp and gradual against seeds: {found.untested}")
    elif found.series.n_runs.min() < 2:
        not_said.append(
            "which sharp predictions another seed would show again: some sizes have one run"
        )
    picks = {str(one): rules for one, rules in facts["rules"].items()}
    return facts["classes"], picks


def _clusters(run: RunFolder, *, seed: int, not_said: list[str]) -> dict[str, int] | None:
    if stage_status(run, "clusters", {}).state != "done":
        not_said.append("when clusters were learned: none were discovered (`quantascope run`)")
        return None
    try:
        found = run_emergence(run, by="cluster", seed=seed)
    except DataError as error:
        not_said.append(f"when clusters were learned: {error}")
        return None
    return {"n_clusters": len(found.keys), "n_changed": int(found.changed.sum())}


def _noticed(models: pd.DataFrame) -> list[str]:
    """Say where losses and the names' order disagree."""
    odd = []
    runs = models.sort_values("step").groupby(["n_params", models["seed"].fillna(0)])
    for (size, seed), rows in runs:
        kept = rows[rows["step"].notna()]
        loss, steps = kept["mean_loss_nats"].to_numpy(), kept["step"].to_numpy()
        if len(kept) > 1 and loss[-1] > loss[0]:
            odd.append(
                f"size {size:,.0f}, seed {seed:.0f}: the loss rises from {loss[0]:.3f} nat at step "
                f"{steps[0]:.0f} to {loss[-1]:.3f} at step {steps[-1]:.0f}; are the steps in order?"
            )
    last = runs.tail(1)
    means = last.groupby("n_params")["mean_loss_nats"].mean()
    odd += [
        f"size {large:,.0f} loses more than size {small:,.0f} ({means[large]:.3f} against "
        f"{means[small]:.3f} nat)"
        for small, large in pairwise(means.index)
        if means[large] > means[small]
    ]
    ends = sorted(set(last["step"].dropna()))
    if len(ends) > 1:
        odd.append(f"last steps differ: {', '.join(f'{step:.0f}' for step in ends)}")
    return odd
