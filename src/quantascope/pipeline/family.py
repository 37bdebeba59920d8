"""What is checked of a family before anything is computed or written."""

import numpy as np

from quantascope.core.errors import DataError
from quantascope.families.curves import Checkpoints, check_checkpoints
from quantascope.lm.config import ModelsConfig
from quantascope.lm.revisions import facts_of_name, pythia_params
from quantascope.store.folder import RunFolder
from quantascope.store.tables import read_table

__all__ = ["check_family", "misnamed_models"]


def check_family(config: ModelsConfig) -> int:
    """Refuse models that make no family: no weights are loaded.

    Parameters
    ----------
    config
        Names the models.

    Returns
    -------
    int
        Number of checkpoints.

    Raises
    ------
    DataError
        If there is one checkpoint alone, one is missing, two have the same size, step and seed or
        the same weights, or their tokenizers differ; with the names.
    """
    from quantascope.lm.loading import shared_tokenizer
    from quantascope.lm.models import equal_weights, resolve_models
    from quantascope.lm.outline import outline_model
    from quantascope.lm.stored_weights import stored_weights

    sources = resolve_models(config)
    if len(sources) < 2:
        raise DataError(
            f"a family of one model, {sources[0].name}; give two or more sizes or steps (repeat "
            "--model, or add --revisions)"
        )
    shared_tokenizer(sources)
    sizes = [outline_model(source).n_params for source in sources]
    check_checkpoints(
        Checkpoints(
            name=np.array([source.name for source in sources]),
            n_params=np.array(sizes, dtype=np.float64),
            step=np.array([np.nan if s.step is None else s.step for s in sources], dtype=float),
            n_tokens=np.full(len(sources), np.nan),
            seed=np.array([source.seed or 0 for source in sources]),
        )
    )
    known: dict[str, str] = {}
    for source in sources:
        weights = stored_weights(source)
        if weights and known.setdefault(weights, source.name) != source.name:
            raise DataError(equal_weights(known[weights], source.name))
    return len(sources)


def misnamed_models(run: RunFolder) -> list[str]:
    """Say which model of a run has a name of Pythia's and not its size; the first of several."""
    for row in read_table(run.stage("losses"), "models.parquet").to_pylist():
        size = facts_of_name(row["name"].partition("@")[0]).size
        if size is not None and pythia_params(size) != row["n_params"]:
            return [
                f"{row['name']} has {row['n_params']:,} non-embedding parameters, Pythia's {size} "
                f"has {pythia_params(size):,}: is it another model?"
            ]
    return []
