"""Predictions of a run in groups: clusters, n-grams, skills of its truth, a table of one's own.

Leaves for each group a name, and how often it is used.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from quantascope.core.errors import ArtefactError, DataError
from quantascope.families.ngrams import group_ngrams
from quantascope.reader.membership import read_membership
from quantascope.reader.tokens import decode_tokens
from quantascope.store.arrays import open_array
from quantascope.store.folder import RunFolder
from quantascope.store.tables import read_table
from quantascope.store.truth import read_truth

__all__ = ["Groups", "check_by", "read_groups"]

_NGRAM: Final = "ngram:"
_FILE: Final = ".parquet"
_MOST: Final = 8
"""Longest n-gram."""
_UNRULED: Final = ("noise", "syntax")
"""Labels of a truth that are no skills."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Groups:
    """Groups of predictions."""

    by: str
    names: NDArray[np.str_]
    """Axis ``group``."""
    group: NDArray[np.int64]
    """Group of each prediction, -1 for none; axis ``pred``."""
    frequency: NDArray[np.float64]
    """Share of use, axis ``group``."""
    meaning: str
    """What `frequency` is a share of."""

    @property
    def n_preds(self) -> NDArray[np.int64]:
        """Predictions in each group."""
        return np.bincount(self.group[self.group >= 0], minlength=len(self.names))


def check_by(by: str, *, others: tuple[str, ...] = ()) -> int:
    """Check the name of a grouping; give n of ``ngram:n``, else 0.

    Raises
    ------
    ValueError
        If there is no such grouping.
    """
    if by in ("cluster", "skill", *others) or by.endswith(_FILE):
        return 0
    n = by.removeprefix(_NGRAM)
    if by.startswith(_NGRAM) and n.isdecimal() and 1 <= int(n) <= _MOST:
        return int(n)
    allowed = ", ".join(
        ("cluster", *others, "skill", f"ngram:1 to ngram:{_MOST}", f"a {_FILE} file")
    )
    raise ValueError(f"by: {by!r} found; allowed are {allowed}")


def read_groups(run: RunFolder, pred: NDArray[np.int64], by: str, *, least: int = 20) -> Groups:
    """Group predictions of a run.

    Parameters
    ----------
    run
        A run whose stages stand as far as they are needed.
    pred
        Predictions, axis ``pred``.
    by
        ``cluster`` (of the default clustering), ``ngram:N`` (the N - 1 tokens before and the
        target), ``skill`` (of the truth; predictions of one skill alone), or the path of a Parquet
        table with ``pred`` and ``group``, and ``label`` if groups have words for their names.
    least
        Predictions that an n-gram, a skill or a group of a table must have.

    Raises
    ------
    ValueError
        If `by` is unknown.
    ArtefactError, DataError
        If a stage or the truth is missing, or no group is large enough.
    """
    n = check_by(by)
    if n:
        found = _ngrams(run, pred, n=n, least=least)
    elif by.endswith(_FILE):
        found = _own(Path(by), pred, least=least)
    else:
        found = _clusters(run, pred) if by == "cluster" else _skills(run, pred, least=least)
    if not len(found.names):
        raise DataError(
            f"{run.root}: no {by} has {least} predictions with curves or more; ask for fewer"
        )
    return found


def _clusters(run: RunFolder, pred: NDArray[np.int64]) -> Groups:
    """Group by the default clustering, ranks ascending; clusters without a curve are left out."""
    if run.manifest("clusters") is None:
        raise ArtefactError(
            f"{run.stage('clusters')}: stage 'clusters' has not finished; run `quantascope run "
            f"{run.root}`, or take other groups (--by ngram:1)"
        )
    default = run.require("clusters").facts["default"]
    ranked = read_table(run.stage("clusters"), "clusters.parquet").to_pandas()
    ranked = ranked[ranked["clustering"] == default].sort_values("rank")
    ids = ranked["cluster"].astype(str).to_numpy().astype(np.str_)
    members = read_membership(run)
    rank = {name: i for i, name in enumerate(ids.tolist())}
    place = np.array([*(rank.get(name, -1) for name in members.names), -1], dtype=np.int64)
    group = place[members.code_of(pred)]
    size = ranked["size"].to_numpy(dtype=np.float64)
    return _nonempty("cluster", ids, group, size / size.sum(), "the clustered predictions")


def _ngrams(run: RunFolder, pred: NDArray[np.int64], *, n: int, least: int) -> Groups:
    run.require("corpus")
    tokens, offsets = (
        np.asarray(open_array(run.stage("corpus"), "corpus", name=name))
        for name in ("tokens.npy", "offsets.npy")
    )
    found = group_ngrams(tokens, offsets, pred, n=n, least=least)
    vocab = read_table(run.stage("corpus"), "vocab.parquet").to_pandas()
    spelled = dict(zip(vocab["id"].tolist(), vocab["bytes"].tolist(), strict=True))
    names = [
        "|".join(repr(text)[1:-1] for text in decode_tokens([spelled.get(t, b"") for t in row]))
        for row in found.tokens.tolist()
    ]
    return Groups(
        by=f"{_NGRAM}{n}",
        names=np.array(names, dtype=np.str_),
        group=found.group,
        frequency=found.frequency,
        meaning="the predictions of the corpus",
    )


def _own(path: Path, pred: NDArray[np.int64], *, least: int) -> Groups:
    """Group by a user's table, largest group first."""
    if not path.is_file():
        raise DataError(f"{path}: no such file; by names a Parquet table with pred and group")
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: not readable as Parquet ({error})") from error
    if missing := sorted({"pred", "group"} - set(table.column_names)):
        raise DataError(f"{path}: column {missing[0]} missing; needed are pred and group")
    rows: pd.DataFrame = table.to_pandas().dropna(subset=["pred", "group"])
    if rows["pred"].duplicated().any():
        twice = rows.loc[rows["pred"].duplicated(), "pred"].iloc[0]
        raise DataError(f"{path}: pred {twice} stands there twice; give each prediction one group")
    rows["group"] = rows["group"].astype(str)
    counts = rows["group"].value_counts(sort=False).sort_index()
    counts = counts.sort_values(ascending=False, kind="stable")
    of_pred = rows.set_index("pred")["group"]
    group = pd.Categorical(of_pred.reindex(pred), categories=counts.index).codes.astype(np.int64)
    few = np.bincount(group[group >= 0], minlength=len(counts)) < least
    group = np.where(np.append(few, True)[group], -1, group)
    size = counts.to_numpy(dtype=np.float64)
    names = counts.index.to_numpy().astype(np.str_)
    if "label" in rows:
        label = rows.drop_duplicates("group").set_index("group")["label"].astype(str).to_dict()
        names = np.array([f"{name} {label[name]}".strip() for name in names.tolist()])
    return _nonempty(path.name, names, group, size / size.sum(), f"the predictions of {path.name}")


def _skills(run: RunFolder, pred: NDArray[np.int64], *, least: int) -> Groups:
    """Group by the skill that rules a prediction alone."""
    truth: pd.DataFrame = read_truth(run.root).to_pandas()
    alone = (truth["weight"] == 1) & ~truth["skill"].isin(_UNRULED) & ~truth["held_out"]
    truth = truth[alone]
    counts = truth["skill"].value_counts(sort=False)
    counts = counts.sort_index().sort_values(ascending=False, kind="stable")
    of_pred = truth.set_index("pred")["skill"]
    skill = pd.Categorical(of_pred.reindex(pred), categories=counts.index)
    group = skill.codes.astype(np.int64)
    few = np.bincount(group[group >= 0], minlength=len(counts)) < least
    group = np.where(np.append(few, True)[group], -1, group)
    size = counts.to_numpy(dtype=np.float64)
    names = counts.index.to_numpy().astype(np.str_)
    return _nonempty("skill", names, group, size / size.sum(), "the answers of one skill")


def _nonempty(
    by: str,
    names: NDArray[np.str_],
    group: NDArray[np.int64],
    frequency: NDArray[np.float64],
    meaning: str,
) -> Groups:
    there = np.bincount(group[group >= 0], minlength=len(names)) > 0
    rank: NDArray[Any] = np.append(np.where(there, np.cumsum(there) - 1, -1), -1)
    return Groups(
        by=by, names=names[there], group=rank[group], frequency=frequency[there], meaning=meaning
    )
