"""The run's config: one frozen dataclass of the stages' dataclasses, read from and written to TOML.

`run.toml` has one table a stage; its keys are the fields of that stage's dataclass. What a run
writes is complete (defaults resolved) and can itself be run.
"""

import tomllib
import types
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final, get_args, get_origin, get_type_hints

import tomli_w

from quantascope.families.config import CurvesConfig
from quantascope.lm.config import (
    CorpusConfig,
    LossesConfig,
    ModelsConfig,
    ProbesConfig,
    SelectionConfig,
)
from quantascope.qdg.config import (
    ClustersConfig,
    GraphConfig,
    LabelsConfig,
    RanksConfig,
    SketchConfig,
)

__all__ = [
    "RunConfig",
    "dump_config",
    "get_value",
    "load_config",
    "parse_config",
    "replace_values",
    "set_values",
    "stage_config",
]


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Config of a whole run, a field for each table of ``run.toml``."""

    models: ModelsConfig = field(default_factory=ModelsConfig)
    corpus: CorpusConfig = field(default_factory=CorpusConfig)
    losses: LossesConfig = field(default_factory=LossesConfig)
    selection: SelectionConfig = field(default_factory=SelectionConfig)
    sketch: SketchConfig = field(default_factory=SketchConfig)
    graph: GraphConfig = field(default_factory=GraphConfig)
    clusters: ClustersConfig = field(default_factory=ClustersConfig)
    ranks: RanksConfig = field(default_factory=RanksConfig)
    labels: LabelsConfig = field(default_factory=LabelsConfig)
    curves: CurvesConfig = field(default_factory=CurvesConfig)
    probes: ProbesConfig = field(default_factory=ProbesConfig)


# which tables of run.toml a stage's result depends on
_TABLES_OF_STAGE: Final[dict[str, tuple[str, ...]]] = {
    "corpus": ("corpus", "models"),
    "losses": ("losses", "models"),
    "selection": ("selection",),
    "sketch": ("sketch", "models"),
    "graph": ("graph",),
    "clusters": ("clusters",),
    "ranks": ("ranks",),
    "fits": ("ranks",),
    "labels": ("labels",),
    "curves": ("curves",),
    "probes": ("probes", "models"),
}


# Settings that came later: left out at their default, so that artefacts made before stay current.
_LATER: Final[dict[str, dict[str, Any]]] = {
    "corpus": {"models.revisions": ""},
    "losses": {"source": "models", "models_table": "", "models.revisions": ""},
    "sketch": {"models.revisions": "", "output_dim": 0, "vectors": ""},
}

# Settings that no result depends on.
_BESIDE: Final[dict[str, tuple[str, ...]]] = {
    "losses": ("keep_downloads",),
    "sketch": ("accept_approximation",),
}


# counts below which a stage has nothing to do; ranges that need more are checked where they apply
_MINIMA: Final[dict[str, int]] = {
    "corpus.n_tokens": 2,
    "corpus.max_length": 2,
    "losses.batch_tokens": 1,
    "losses.shard_tokens": 1,
    "selection.n": 2,
    "selection.max_per_document": 1,
    "sketch.dim": 1,
    "sketch.moment_preds": 1,
    "sketch.targets_per_pass": 1,
    "sketch.shard_preds": 1,
    "graph.n_neighbors": 1,
    "graph.block": 1,
    "clusters.leiden_seeds": 1,
    "clusters.n_init": 1,
    "clusters.null_shuffles": 1,
    "ranks.n_boot": 20,
    "labels.n_candidates": 1,
    "curves.n_sample": 1,
    "probes.batch_tokens": 1,
    "probes.shard_items": 1,
}


def stage_config(config: RunConfig, kind: str) -> dict[str, Any]:
    """Give the part of the config that a stage's result depends on, JSON-able."""
    merged: dict[str, Any] = {}
    for table in _TABLES_OF_STAGE[kind]:
        prefix = "models." if table == "models" else ""
        for key, value in asdict(getattr(config, table)).items():
            merged[prefix + key] = list(value) if isinstance(value, tuple) else value
    later, beside = _LATER.get(kind, {}), _BESIDE.get(kind, ())
    return {
        key: value
        for key, value in merged.items()
        if key not in beside and later.get(key, ...) != value
    }


def load_config(path: Path) -> RunConfig:
    """Read a ``run.toml``.

    Raises
    ------
    ValueError
        If the file is missing, no TOML, or holds a table, key or value that is not allowed.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{path}: no such config file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ValueError(f"{path}: not readable as TOML ({error})") from error
    try:
        return parse_config(content)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def parse_config(content: dict[str, Any]) -> RunConfig:
    """Build a config from nested tables; absent keys take their defaults."""
    config = RunConfig()
    for table, values in content.items():
        if not isinstance(values, dict):
            raise ValueError(f"{table}: a table [{table}] is expected at the top level")
        for key, value in values.items():
            config = _with_value(config, table, key=key, value=value)
    return config


def dump_config(config: RunConfig) -> str:
    """Write a config as TOML; fields that are None are left out (their default is None)."""
    tables = {
        table: {key: value for key, value in values.items() if value is not None}
        for table, values in asdict(config).items()
    }
    return tomli_w.dumps(tables)


def set_values(config: RunConfig, assignments: Sequence[str]) -> RunConfig:
    """Apply ``stage.key=value`` assignments; values are TOML, bare words are strings.

    Raises
    ------
    ValueError
        If an assignment is malformed or names an unknown key.
    """
    for assignment in assignments:
        address, equals, text = assignment.partition("=")
        table, dot, key = address.strip().partition(".")
        if not (equals and dot and key):
            raise ValueError(f"--set {assignment!r}: expected stage.key=value")
        config = _with_value(config, table, key=key, value=_parse_value(text.strip()))
    return config


def replace_values(config: RunConfig, values: Mapping[str, Any]) -> RunConfig:
    """Replace values by their address ``stage.key``; those that are None stay as they are."""
    for address, value in values.items():
        if value is not None:
            table, _, key = address.partition(".")
            config = _with_value(config, table, key=key, value=value)
    return config


def get_value(config: RunConfig, address: str) -> Any:
    """Give the value at ``stage.key``."""
    table, _, key = address.partition(".")
    return getattr(getattr(config, table), key)


def _parse_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _with_value(config: RunConfig, table: str, *, key: str, value: Any) -> RunConfig:
    tables = [f.name for f in fields(config)]
    if table not in tables:
        raise ValueError(f"[{table}]: unknown table; allowed are {', '.join(tables)}")
    part = getattr(config, table)
    hints = get_type_hints(type(part))
    if key not in hints:
        raise ValueError(f"{table}.{key}: unknown key; allowed are {', '.join(hints)}")
    fitted = _fit(value, hints[key], f"{table}.{key}")
    least = _MINIMA.get(f"{table}.{key}")
    if least is not None and fitted is not None and fitted < least:
        raise ValueError(f"{table}.{key}: {fitted} found, at least {least} is needed")
    return replace(config, **{table: replace(part, **{key: fitted})})


def _fit(value: Any, hint: Any, name: str) -> Any:
    """Check a value against a field's type; integers pass as floats, scalars as tuples of one."""
    if isinstance(hint, types.UnionType):
        inner = next(arg for arg in get_args(hint) if arg is not types.NoneType)
        return None if value is None or value == "none" else _fit(value, inner, name)
    if get_origin(hint) is tuple:
        items = value if isinstance(value, list | tuple) else [value]
        return tuple(_fit(item, get_args(hint)[0], name) for item in items)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is str and not isinstance(value, str):
        value = str(value) if isinstance(value, int | float) else value
    if type(value) is not hint:
        raise ValueError(f"{name}: {value!r} found, {hint.__name__} expected")
    return value
