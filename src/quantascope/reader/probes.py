"""What the probes of a run show: scores by skill over sizes or steps, and when each was learned.

Enter: a run whose probes stand. Leave: frozen results; nothing is written.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import false_discovery_control

from quantascope.core.errors import ArtefactError, DataError
from quantascope.families.curves import Checkpoints, LossCurves, make_curves
from quantascope.families.emergence import Emergence, find_emergence
from quantascope.families.probes import SkillMeans, metric_verdicts, skill_means, to_miss
from quantascope.families.series import Series
from quantascope.reader.curves import Over, run_series, size_of_steps
from quantascope.store.arrays import open_array
from quantascope.store.folder import RunFolder
from quantascope.store.status import stage_status
from quantascope.store.tables import read_table

__all__ = [
    "PROBE_SCORES",
    "ProbeReport",
    "ProbeScore",
    "ProbeSeries",
    "Probes",
    "probe_series",
    "read_probes",
    "run_probes",
]

ProbeScore = Literal["loss", "token_loss", "exact", "choice", "brier"]
PROBE_SCORES: Final = ("loss", "token_loss", "exact", "choice", "brier")
_SHARES: Final = ("exact", "choice")


@dataclass(frozen=True, kw_only=True, eq=False)
class Probes:
    """Items of a run's probes and their scores under every checkpoint."""

    items: pd.DataFrame
    """A row an item: set, line, skill, context, first answer, counts."""
    scores: dict[str, NDArray[np.float32]]
    """By score, axes ``item model``; NaN where an item has none."""
    checkpoints: Checkpoints

    @cached_property
    def skills(self) -> list[str]:
        """Names of the skills, in the order of the sets."""
        return list(dict.fromkeys(self.items["skill"]))

    def of(self, score: ProbeScore) -> tuple[NDArray[np.str_], LossCurves, NDArray[np.int64]]:
        """Give the skills that have a score, the curves of their items, and each item's skill."""
        if score not in PROBE_SCORES:
            raise ValueError(f"score: {score!r} found; allowed are {', '.join(PROBE_SCORES)}")
        values = self.scores[score]
        kept = np.flatnonzero(np.isfinite(values).all(axis=1))
        names = self.items["skill"].to_numpy()[kept]
        keys = [skill for skill in self.skills if skill in set(names)]
        place = {skill: i for i, skill in enumerate(keys)}
        curves = make_curves(kept, values[kept], checkpoints=self.checkpoints)
        skill = np.array([place[name] for name in names], dtype=np.int64)
        return np.array(keys, dtype=np.str_), curves, skill


@dataclass(frozen=True, kw_only=True, eq=False)
class ProbeSeries:
    """One curve a skill, as emergence and forecasts take it."""

    keys: NDArray[np.str_]
    """Names of the skills."""
    n_items: NDArray[np.int64]
    series: Series
    """Mean over a skill's items within every training run; falling is learning."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ProbeReport:
    """Scores by skill and level, and when each skill was learned in each score."""

    skills: list[str]
    n_items: NDArray[np.int64]
    n_choices: NDArray[np.int64]
    """Items with wrong answers."""
    series: Series
    """Mean loss of each skill [nat per token]."""
    means: dict[str, SkillMeans]
    """By score, rows as `skills`; NaN for a skill without it."""
    chance: NDArray[np.float64]
    """Choice accuracy of a guess, NaN without wrong answers; axis ``skill``."""
    found: dict[str, Emergence]
    """By score, of the skills in `rows`; empty where nothing can be tested."""
    rows: dict[str, NDArray[np.int64]]
    """By score, the places of its skills in `skills`."""
    untested: str
    facts: dict[str, Any]

    @property
    def changed(self) -> NDArray[np.bool_]:
        """Tell whose loss changes, by Benjamini and Hochberg's procedure over all skills."""
        if "token_loss" not in self.found:
            return np.zeros(len(self.skills), dtype=np.bool_)
        found = self.found["token_loss"]
        return np.asarray(false_discovery_control(found.p_change) <= 1 - found.level)

    def verdicts(self) -> list[dict[str, Any]]:
        """Hold each score against the loss, a row a skill and score with wrong answers or not."""
        if not self.found:
            return []
        base, out = self.found["token_loss"], []
        for name, each in self.found.items():
            rows = self.rows[name]
            table = metric_verdicts({"token_loss": _rows_of(base, rows), name: each}).to_pylist()
            for row in table[-len(rows) :]:
                out.append({"skill": self.skills[rows[row.pop("curve")]], **row})
        return out

    def as_dict(self) -> dict[str, Any]:
        """Give all as plain values, for JSON and tables."""
        verdicts, changed = self.verdicts(), self.changed
        rows = []
        for i, skill in enumerate(self.skills):
            levels = [
                {self.series.scale: float(x), "n_runs": int(n)}
                | {
                    name: {"mean": m.mean[i, k], "lo": m.lo[i, k], "hi": m.hi[i, k]}
                    for name, m in self.means.items()
                }
                for k, (x, n) in enumerate(zip(self.series.x, self.series.n_runs, strict=True))
            ]
            learned = None
            if "token_loss" in self.found:
                each = self.found["token_loss"].to_table().slice(i, 1).to_pylist()[0]
                learned = each | {"changed": bool(changed[i])}
            rows.append(
                {
                    "skill": skill,
                    "n_items": int(self.n_items[i]),
                    "n_choices": int(self.n_choices[i]),
                    "chance": self.chance[i],
                    "levels": levels,
                    "learned": learned,
                    "metrics": [{**v} for v in verdicts if v["skill"] == skill],
                }
            )
        return self.facts | {
            "over": self.series.scale,
            "level": self.means["token_loss"].level,
            "untested": self.untested,
            "skills": rows,
        }


def read_probes(run: RunFolder) -> Probes:
    """Read the probes of a run.

    Raises
    ------
    ArtefactError
        If they are missing, or older than the run's losses.
    """
    status = stage_status(run, "probes", {})
    if status.state != "done":
        why = f" ({status.why})" if status.why else ""
        raise ArtefactError(
            f"{run.root}: probes are {status.state}{why}; make them with "
            f"`quantascope probe {run.root}`"
        )
    folder = run.stage("probes")
    models = read_table(run.stage("losses"), "models.parquet").sort_by("model")
    return Probes(
        items=read_table(folder, "items.parquet").to_pandas().astype({"skill": str, "set": str}),
        scores={
            name: np.asarray(open_array(folder, "probes", name=f"{name}.zarr")[:, :])
            for name in PROBE_SCORES
        },
        checkpoints=Checkpoints.from_table(models),
    )


def probe_series(
    run: RunFolder,
    over: Over = "sizes",
    *,
    at: float | None = None,
    complete: bool = True,
    score: ProbeScore = "token_loss",
) -> ProbeSeries:
    """Cut out one curve a skill.

    Parameters
    ----------
    run
        A run whose probes stand.
    over, at, complete
        See `quantascope.reader.curves.run_series`.
    score
        "token_loss" and "loss" are cross-entropies [nat]; shares of right answers are turned into
        shares missed, so that every score falls where a skill is learned.

    Returns
    -------
    ProbeSeries
        Names of the skills, items of each, and the `Series`.

    Raises
    ------
    ArtefactError, DataError
        If there are no probes, no item has the score, or the models make no family.
    """
    keys, items, skill = _cut(read_probes(run), score, over=over, at=at, complete=complete)
    if not len(keys):
        raise DataError(f"{run.root}: no item of the probes has a score {score} (wrong answers)")
    series = to_miss(items) if score in _SHARES else items
    return ProbeSeries(keys=keys, n_items=np.bincount(skill), series=series.averaged(skill))


def run_probes(
    run: RunFolder,
    *,
    over: Over = "sizes",
    at: float | None = None,
    complete: bool = True,
    level: float = 0.95,
    seed: int = 0,
) -> ProbeReport:
    """Say how well each size or step does each skill, and when the skill was learned.

    Parameters
    ----------
    run
        A run whose probes stand.
    over, at, complete
        See `quantascope.reader.curves.run_series`.
    level, seed
        Of intervals and tests.

    Raises
    ------
    ArtefactError, DataError
        If there are no probes, or the models make no family.
    """
    probes = read_probes(run)
    skills, n = probes.skills, len(probes.skills)
    size = (at or size_of_steps(probes.checkpoints)) if over == "steps" else None
    means, rows, found, untested = {}, {}, {}, ""
    for score in PROBE_SCORES:
        keys, items, skill = _cut(probes, score, over=over, at=at, complete=complete)
        rows[score] = np.array([skills.index(key) for key in keys], dtype=np.int64)
        if not len(keys):
            continue
        share = score in _SHARES
        means[score] = _spread(
            skill_means(items, skill, share=share, level=level, seed=seed), rows[score], n
        )
        curves = (to_miss(items) if share else items).averaged(skill)
        if score == "token_loss":
            series = curves
        try:
            found[score] = find_emergence(curves, level=level, seed=seed)
        except DataError as error:
            untested = str(error)
    items_of = probes.items["skill"].map({name: i for i, name in enumerate(skills)}).to_numpy()
    with_wrong = probes.items["n_wrong"].to_numpy() > 0
    return ProbeReport(
        skills=skills,
        n_items=np.bincount(items_of, minlength=n),
        n_choices=np.bincount(items_of, weights=with_wrong, minlength=n).astype(np.int64),
        series=series,
        means=means,
        chance=_chance(probes.items, items_of, n),
        found={} if untested else found,
        rows=rows,
        untested=untested,
        facts=run.require("probes").facts | {"size": size},
    )


def _cut(
    probes: Probes, score: ProbeScore, *, over: Over, at: float | None, complete: bool
) -> tuple[NDArray[np.str_], Series, NDArray[np.int64]]:
    keys, curves, skill = probes.of(score)
    return keys, run_series(curves, over, at=at, complete=complete), skill


def _spread(means: SkillMeans, rows: NDArray[np.int64], n: int) -> SkillMeans:
    """Put rows of some skills among those of all; the others are NaN."""

    def wide(values: NDArray[np.float64]) -> NDArray[np.float64]:
        out = np.full((n, values.shape[1]), np.nan)
        out[rows] = values
        return out

    return replace(means, mean=wide(means.mean), lo=wide(means.lo), hi=wide(means.hi))


def _chance(items: pd.DataFrame, skill: NDArray[np.int64], n: int) -> NDArray[np.float64]:
    guess = items["n_answers"] / (items["n_answers"] + items["n_wrong"])
    kept = items["n_wrong"].to_numpy() > 0
    sums = np.bincount(skill[kept], weights=guess.to_numpy()[kept], minlength=n)
    counts = np.bincount(skill[kept], minlength=n)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _rows_of(found: Emergence, rows: NDArray[np.int64]) -> Emergence:
    names = ("learned", "at", "lo", "hi", "threshold", "drop", "width", "gap", "p_change", "p_turn")
    return replace(found, **{name: getattr(found, name)[rows] for name in names})
