"""A run with known truth graded: each clustering, and each control, against skill and surface.

Enter: a run whose clusters stand and which has a ``truth.parquet``. Leave: plain rows. Nothing is
written. A clustering that agrees with skills no better than a control does has found the surface.
"""

from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quantascope.core.errors import ArtefactError
from quantascope.pipeline.context import CorpusArrays
from quantascope.qdg.agreement import Recovery, agree, recover
from quantascope.store.digest import digest_file
from quantascope.store.folder import RunFolder
from quantascope.store.tables import read_table
from quantascope.store.truth import TRUTH_FILE, read_truth

__all__ = ["Grade", "GradedSkill", "grade_run", "graded_truth"]

_LEVELS: Final = ("skill", "sub_skill", "entry")
_NO_SKILL: Final = ("noise", "syntax")
_LAST: Final = (1, 2, 3)  # last tokens before the target, as controls
_FEWEST: Final = 2


@dataclass(frozen=True, kw_only=True)
class GradedSkill:
    """What became of one skill in the default clustering."""

    skill: str
    share: float
    """Of the graded predictions."""
    recovery: Recovery


@dataclass(frozen=True, kw_only=True)
class Grade:
    """Scores of all clusterings and controls of a run."""

    n_preds: int
    """Graded: selected predictions that one skill rules."""
    n_selected: int
    default: str
    table: pd.DataFrame
    """A row a grouping: its kind (clustering or control), number of groups, scores at each level
    of the truth, and adjusted mutual information with each surface."""
    skills: tuple[GradedSkill, ...]
    """By falling share."""

    @property
    def found_from(self) -> float | None:
        """Least share such that every skill of this share or more is found; None if there is none.

        A skill is found where a cluster has a Jaccard index of more than a half with it.
        """
        shares = [skill.share for skill in self.skills if skill.recovery.verdict != "found"]
        above = [skill.share for skill in self.skills if skill.share > max(shares, default=0.0)]
        return min(above, default=None)

    def as_dict(self) -> dict[str, Any]:
        """Give all of it as plain values, for JSON."""
        return {
            "n_preds": self.n_preds,
            "n_selected": self.n_selected,
            "default": self.default,
            "found_from": self.found_from,
            "table": self.table.to_dict(orient="records"),
            "skills": [asdict(skill) for skill in self.skills],
        }


def grade_run(run: RunFolder) -> Grade:
    """Hold a run's clusterings against its truth, beside the controls.

    Parameters
    ----------
    run
        A run with clusters and truth.

    Returns
    -------
    Grade
        Graded are selected predictions that exactly one skill rules: noise, fixed syntax and
        predictions of two skills are left out, for every grouping alike.

    Raises
    ------
    ArtefactError
        If the run has no truth or no clusters, its clusters rest on an earlier state of a stage
        before them, its truth is not that of its corpus, or fewer than two predictions can be
        graded.
    """
    _check_current(run)
    members = read_table(run.stage("clusters"), "members.parquet").to_pandas()
    default = str(run.require("clusters").facts["default"])
    truth = graded_truth(run)
    preds = np.sort(read_table(run.stage("selection"), "preds.parquet").column("pred").to_numpy())
    chosen = preds[np.isin(preds, truth.index.to_numpy())]
    if len(chosen) < _FEWEST:
        raise ArtefactError(
            f"{run.root}: {len(chosen)} selected predictions are ruled by one skill; "
            "at least 2 are needed, select more with selection.n"
        )
    known = {level: _codes(truth.loc[chosen, level]) for level in _LEVELS}
    surface = _surface(run, chosen)
    rows = []
    for name, group in members.groupby("clustering", observed=True, sort=False):
        labels = pd.Series(group["cluster"].astype(str).to_numpy(), index=group["pred"])
        rows.append(_row(str(name), "clustering", _codes(labels.loc[chosen]), known, surface))
        if name == default:
            skills = _skills(_codes(labels.loc[chosen]), truth.loc[chosen, "skill"])
    rows += [_row(name, "control", labels, known, surface) for name, labels in surface.items()]
    return Grade(
        n_preds=len(chosen),
        n_selected=len(preds),
        default=default,
        table=pd.DataFrame(rows),
        skills=skills,
    )


def _check_current(run: RunFolder) -> None:
    """Refuse clusters of an earlier state, and a truth of another corpus."""
    behind = ["clusters"]
    for kind in behind:
        found = run.require(kind).parents
        old = [
            parent for parent, digest in run.parent_digests(kind).items() if found[parent] != digest
        ]
        if old:
            raise ArtefactError(
                f"{run.root}: {kind} stale, {old[0]} was redone; run `quantascope run {run.root}`"
            )
        behind += [parent for parent in found if parent not in behind]
    path = run.root / TRUTH_FILE
    known = run.require("corpus").facts.get("truth_sha256")
    if path.is_file() and digest_file(path) != known:
        raise ArtefactError(
            f"{path}: not the truth of this corpus; redo with `quantascope run {run.root} "
            "--overwrite corpus`"
        )


def graded_truth(run: RunFolder) -> pd.DataFrame:
    """Truth of predictions that one skill rules, by pred; entries are told apart by skill."""
    truth = read_truth(run.root).to_pandas()
    alone = truth.groupby("pred")["skill"].transform("size") == 1
    truth = truth[alone & ~truth["skill"].isin(_NO_SKILL)].set_index("pred")
    for upper, lower in zip(_LEVELS[:-1], _LEVELS[1:], strict=True):
        finer = truth[lower].fillna("") if lower in truth else ""
        truth[lower] = truth[upper] + " / " + finer
    return truth


def _surface(run: RunFolder, chosen: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    """Group predictions by what stands on the page: the target, and the last few tokens."""
    corpus = CorpusArrays.of(run)
    tokens = np.asarray(corpus.tokens)
    found = {"next token": tokens[chosen].astype(np.int64)}
    for n in _LAST:
        before = np.stack([tokens[np.maximum(chosen - back, 0)] for back in range(1, n + 1)])
        name = "last token" if n == 1 else f"last {n} tokens"
        found[name] = np.unique(before, axis=1, return_inverse=True)[1].ravel().astype(np.int64)
    return found


def _row(
    name: str,
    kind: str,
    labels: NDArray[np.int64],
    known: dict[str, NDArray[np.int64]],
    surface: dict[str, NDArray[np.int64]],
) -> dict[str, Any]:
    scores = {level: agree(labels, codes) for level, codes in known.items()}
    row: dict[str, Any] = {"grouping": name, "kind": kind, "n_groups": scores["skill"].n_found}
    for level, score in scores.items():
        row |= {f"{level}_ari": score.adjusted_rand, f"{level}_ami": score.adjusted_mutual}
    row["purity"] = scores["skill"].purity
    return row | {
        f"ami {control}": agree(labels, codes).adjusted_mutual for control, codes in surface.items()
    }


def _skills(labels: NDArray[np.int64], skill: pd.Series) -> tuple[GradedSkill, ...]:
    codes, names = pd.factorize(skill, sort=True)
    return tuple(
        GradedSkill(skill=str(names[each.known]), share=each.n_preds / len(skill), recovery=each)
        for each in recover(labels, codes)
    )


def _codes(values: pd.Series) -> NDArray[np.int64]:
    return np.asarray(pd.factorize(values)[0], dtype=np.int64)
