"""What each stage's folder holds: its files, their axes, columns and units; versioned.

One literal table, read by writers (what to declare), readers (what to expect) and `validate`.
A change that older readers would misread raises the major number.
"""

from dataclasses import dataclass
from typing import Final

__all__ = [
    "COLLECTIONS",
    "KINDS",
    "TRUTH",
    "WAY",
    "ArraySpec",
    "Kind",
    "TableSpec",
    "check_schema",
    "find_kind",
]


@dataclass(frozen=True)
class ArraySpec:
    """An array: named axes, dtype, unit; `.npy` for token ids, Zarr for the rest."""

    axes: tuple[str, ...]
    dtype: str
    unit: str


@dataclass(frozen=True)
class TableSpec:
    """A Parquet table: its columns with their units; an empty unit is a plain name or flag."""

    columns: dict[str, str]
    later: tuple[str, ...] = ()
    """Columns that artefacts of an earlier minor version lack."""


@dataclass(frozen=True)
class Kind:
    """One artefact kind: schema version, parent kinds, arrays and tables by file name."""

    version: str
    parents: tuple[str, ...]
    arrays: dict[str, ArraySpec]
    tables: dict[str, TableSpec]
    on_request: bool = False
    """Made only where it is asked for, no part of ``run``."""


KINDS: Final[dict[str, Kind]] = {
    "corpus": Kind(
        version="1.0",
        parents=(),
        arrays={
            "tokens.npy": ArraySpec(("token",), "int32", "vocabulary id"),
            "offsets.npy": ArraySpec(("doc",), "int64", "token index"),
        },
        tables={
            "docs.parquet": TableSpec(
                {
                    "doc": "index",
                    "source": "",
                    "domain": "",
                    "source_offset": "character",
                    "n_tokens": "token",
                    "document_hash": "",
                }
            ),
            "vocab.parquet": TableSpec({"id": "index", "bytes": "", "special": ""}),
        },
    ),
    "losses": Kind(
        version="1.1",
        parents=("corpus",),
        arrays={"losses.zarr": ArraySpec(("pred", "model"), "float32", "nat")},
        tables={
            "models.parquet": TableSpec(
                {
                    "model": "index",
                    "name": "",
                    "n_params": "non-embedding parameter",
                    "n_params_total": "parameter",
                    "step": "step",
                    "n_tokens": "training token",
                    "n_unique": "distinct training token",
                    "seed": "",
                    "weights_sha256": "",
                    "context_length": "token",
                    "mean_loss_nats": "nat",
                },
                later=("n_unique",),
            )
        },
    ),
    "selection": Kind(
        version="1.0",
        parents=("corpus", "losses"),
        arrays={},
        tables={
            "preds.parquet": TableSpec(
                {"pred": "index", "doc": "index", "pos": "token", "loss_nats": "nat", "order": ""}
            ),
            "counts.parquet": TableSpec({"rule": "", "n_before": "pred", "n_after": "pred"}),
        },
    ),
    "curves": Kind(
        version="1.0",
        parents=("corpus", "losses", "selection"),
        arrays={"curves.zarr": ArraySpec(("pred", "model"), "float32", "nat")},
        tables={
            "preds.parquet": TableSpec(
                {"pred": "index", "doc": "index", "pos": "token", "selected": "", "sampled": ""}
            ),
            "distribution.parquet": TableSpec(
                {"model": "index", "lo": "nat", "hi": "nat", "count": "pred"}
            ),
            "persistence.parquet": TableSpec(
                {
                    "seed": "",
                    "threshold": "nat",
                    "model": "index",
                    "first_below": "pred",
                    "stayed_below": "pred",
                }
            ),
            "positions.parquet": TableSpec(
                {
                    "model": "index",
                    "first_pos": "token",
                    "last_pos": "token",
                    "n_preds": "pred",
                    "mean_nats": "nat",
                    "stderr_nats": "nat",
                }
            ),
        },
    ),
    "sketch": Kind(
        version="1.0",
        parents=("corpus", "selection"),
        arrays={
            "sketch.zarr": ArraySpec(("pred", "dim"), "float16", "unit vector"),
            "norms.zarr": ArraySpec(("pred",), "float32", "nat per unit parameter"),
        },
        tables={},
    ),
    "graph": Kind(
        version="1.0",
        parents=("sketch",),
        arrays={},
        tables={
            "edges.parquet": TableSpec({"row": "index", "column": "index", "similarity": "1"}),
        },
    ),
    "clusters": Kind(
        version="1.0",
        parents=("selection", "sketch", "graph"),
        arrays={},
        tables={
            "clusterings.parquet": TableSpec(
                {
                    "clustering": "",
                    "method": "",
                    "parameter": "resolution or number of clusters",
                    "n_clusters": "cluster",
                    "stability": "adjusted Rand index",
                    "default": "",
                }
            ),
            "members.parquet": TableSpec({"clustering": "", "pred": "index", "cluster": ""}),
            "clusters.parquet": TableSpec(
                {
                    "clustering": "",
                    "cluster": "",
                    "rank": "rank",
                    "size": "pred",
                    "mean_similarity": "1",
                    "null_similarity": "1",
                    "coherent": "",
                    "stability": "Jaccard index",
                    "n_documents": "doc",
                }
            ),
        },
    ),
    "ranks": Kind(
        version="1.1",
        parents=("sketch", "clusters"),
        arrays={},
        tables={
            "ranks.parquet": TableSpec(
                {
                    "clustering": "",
                    "n_clusters": "cluster",
                    "rank": "rank",
                    "size": "pred",
                    "frequency": "1",
                }
            ),
            "envelope.parquet": TableSpec(
                {"rank": "rank", "size": "pred", "n_clusters": "cluster"}
            ),
            "calibration.parquet": TableSpec(
                {
                    "method": "",
                    "read": "1",
                    "estimate": "1",
                    "lo": "1",
                    "hi": "1",
                    "level": "1",
                    "calibrated": "",
                    "reason": "",
                    "points": "pred",
                    "population": "pred",
                    "table": "sha256",
                    "n_rows": "",
                    "row": "index",
                }
            ),
        },
    ),
    "fits": Kind(
        version="1.0",
        parents=("losses", "ranks"),
        arrays={},
        tables={
            "fits.parquet": TableSpec(
                {
                    "name": "",
                    "estimate": "1",
                    "lo": "1",
                    "hi": "1",
                    "prefactor": "",
                    "range_lo": "",
                    "range_hi": "",
                    "n_points": "",
                    "method": "",
                    "identified": "",
                    "calibrated": "",
                    "reason": "",
                }
            )
        },
    ),
    "labels": Kind(
        version="1.0",
        parents=("corpus", "clusters"),
        arrays={},
        tables={
            "labels.parquet": TableSpec(
                {
                    "cluster": "",
                    "place": "rank",
                    "feature": "",
                    "token_ids": "vocabulary id",
                    "count": "pred",
                    "log_odds": "nat",
                    "z": "1",
                    "auc": "1",
                }
            )
        },
    ),
    "probes": Kind(
        version="1.0",
        parents=("losses",),
        arrays={
            "loss.zarr": ArraySpec(("item", "model"), "float32", "nat"),
            "token_loss.zarr": ArraySpec(("item", "model"), "float32", "nat per token"),
            "exact.zarr": ArraySpec(("item", "model"), "float32", "1"),
            "choice.zarr": ArraySpec(("item", "model"), "float32", "1"),
            "brier.zarr": ArraySpec(("item", "model"), "float32", "1"),
        },
        tables={
            "items.parquet": TableSpec(
                {
                    "item": "index",
                    "set": "",
                    "line": "line",
                    "skill": "",
                    "context": "",
                    "answer": "",
                    "n_answers": "answer",
                    "n_wrong": "answer",
                    "n_tokens": "token",
                    "n_cut": "token",
                    "at_boundary": "",
                }
            )
        },
        on_request=True,
    ),
}

WAY: Final = tuple(kind for kind, spec in KINDS.items() if not spec.on_request)
"""The kinds that a run makes, in the order of the way of data."""


_COMPONENTS: Final = {"weight": "1", "location": "unit", "scale": "unit"}

COLLECTIONS: Final[dict[str, Kind]] = {
    "forecasts": Kind(
        version="1.0",
        parents=(),
        arrays={},
        tables={
            "groups.parquet": TableSpec(
                {"group": "index", "key": "", "n_preds": "pred", "frequency": "1"}
            ),
            "members.parquet": TableSpec(
                {"group": "index", "pred": "index", "token": "vocabulary id"}
            ),
            "forecast.parquet": TableSpec(
                {
                    "method": "",
                    "target": "parameter or step",
                    "group": "index",
                    "mean_nats": "nat",
                    "spread_nats": "nat",
                    "p5_nats": "nat",
                    "p50_nats": "nat",
                    "p95_nats": "nat",
                    "threshold_nats": "nat",
                    "p_learned": "1",
                }
                | _COMPONENTS
            ),
            "means.parquet": TableSpec(
                {
                    "method": "",
                    "target": "parameter or step",
                    "mean_nats": "nat",
                    "p5_nats": "nat",
                    "p50_nats": "nat",
                    "p95_nats": "nat",
                }
                | _COMPONENTS
            ),
        },
    ),
    "model_labels": Kind(
        version="1.0",
        parents=(),
        arrays={},
        tables={
            "labels.parquet": TableSpec(
                {"cluster": "", "label": ""}
                | {
                    f"{name}auc{end}": "1"
                    for name in ("", "other_", "rule_")
                    for end in ("", "_lo", "_hi")
                }
                | {"n_shown": "pred", "n_members": "pred", "n_others": "pred"}
            )
        },
    ),
}
"""Kinds of which a run may hold many, each in a folder of its own below the kind's, never redone;
the digests of the stages that one was made from stand in its manifest."""


TRUTH: Final = TableSpec(
    {
        "pred": "token index",
        "skill": "",
        "sub_skill": "",
        "entry": "",
        "weight": "1",
        "held_out": "",
    }
)
"""Columns of ``truth.parquet``, which stands beside the stages where the truth is known."""


def check_schema(kind: str, version: str) -> None:
    """Refuse an artefact kind or major version that this release does not read.

    Raises
    ------
    ValueError
        With what was found and what is readable; callers add the file's name.
    """
    readable = find_kind(kind).version
    if version.partition(".")[0] != readable.partition(".")[0]:
        raise ValueError(
            f"schema {version} of {kind} is not readable here (this release reads {readable}); "
            "use a matching release or redo the stage"
        )


def find_kind(kind: str) -> Kind:
    """Give the schema of a stage's artefact or of a collection's.

    Raises
    ------
    ValueError
        If it is unknown.
    """
    known = KINDS | COLLECTIONS
    if kind not in known:
        raise ValueError(f"kind {kind!r} is unknown; known are {sorted(known)}")
    return known[kind]
