"""A finished sweep of sparse parity as its folder holds it: settings, tables, what it says.

Nothing is fitted here and no network is loaded: what was measured stands in ``summary/``, which
the commands ``parity train``, ``sweep`` and ``show`` write.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from quantascope.core.errors import ArtefactError
from quantascope.reader.parity_settings import read_settings

__all__ = ["ParityFolder", "SubtaskCurves"]

_SUMMARY: Final = "summary"
_SCALING: Final = "scaling-"
_NEEDED: Final = {
    "runs": ("run", "task_alpha", "width", "n_params", "n_samples", "seed", "n_steps",
             "final_nats", "best_nats", "n_learned"),
    "exponents": ("name", "alpha", "estimate", "lo", "hi", "asymptotic", "finite", "n_points",
                  "identified", "reason"),
    "learned": ("run", "subtask", "frequency", "learned_after", "learned_by", "final_nats"),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class SubtaskCurves:
    """Losses of one network's subtasks over training."""

    steps: NDArray[np.int64]
    losses: NDArray[np.float64]
    """Losses [nat], axes ``(step, task)``; NaN where there is none."""
    frequencies: NDArray[np.float64]
    """Probability of each subtask, axis ``task``."""


class ParityFolder:
    """A sweep, read lazily.

    Parameters
    ----------
    path
        Its folder.

    Raises
    ------
    ArtefactError
        If it holds no finished sweep.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.settings = read_settings(path)

    @property
    def has_summary(self) -> bool:
        """Tell whether what the sweep says was written down."""
        return all((self.path / _SUMMARY / f"{name}.parquet").is_file() for name in _NEEDED)

    @cached_property
    def runs(self) -> pd.DataFrame:
        """Give a row a network: settings, losses [nat], subtasks learned at last."""
        return self._summary("runs")

    @cached_property
    def exponents(self) -> pd.DataFrame:
        """Give a row an exponent, with its interval and what theory predicts."""
        file = self.path / _SUMMARY / "exponents.parquet"
        if file.is_file() and not _read(file).num_columns:  # the sweep has the runs for none
            return pd.DataFrame(columns=list(_NEEDED["exponents"]))
        return self._summary("exponents")

    @cached_property
    def learned(self) -> pd.DataFrame:
        """Give a row a network and subtask: between which steps it was learned, its last loss."""
        return self._summary("learned")

    @cached_property
    def scaling(self) -> dict[str, dict[str, NDArray[Any]]]:
        """Tables of the sweep's figure by name, as `quantascope.plots.parity` takes them."""
        files = sorted((self.path / _SUMMARY).glob(f"{_SCALING}*.parquet"))
        return {file.stem.removeprefix(_SCALING): _columns(_read(file)) for file in files}

    def curves(self, run: int) -> SubtaskCurves:
        """Give the losses of one network's subtasks.

        Raises
        ------
        ArtefactError
            If they are missing or damaged.
        """
        file = self.path / "subtasks.parquet"
        columns = ["step", "subtask", "loss_nats"]
        table = _read(file, columns=columns, filters=[("run", "=", run)]).to_pandas()
        mine = self.learned[self.learned["run"] == run].sort_values("subtask")
        wide = table.pivot_table(index="step", columns="subtask", values="loss_nats")
        wide = wide.reindex(columns=mine["subtask"])
        return SubtaskCurves(
            steps=wide.index.to_numpy(dtype=np.int64),
            losses=wide.to_numpy(dtype=np.float64),
            frequencies=mine["frequency"].to_numpy(dtype=np.float64),
        )

    def _summary(self, name: str) -> pd.DataFrame:
        file = self.path / _SUMMARY / f"{name}.parquet"
        table = _read(file).to_pandas()
        if missing := sorted(set(_NEEDED[name]) - set(table.columns)):
            raise ArtefactError(f"{file}: column {missing[0]} missing; {_again(self.path)}")
        return table


def _columns(table: pa.Table) -> dict[str, NDArray[Any]]:
    return {name: table.column(name).to_numpy() for name in table.column_names}


def _read(file: Path, **options: Any) -> pa.Table:
    try:
        return pq.read_table(file, **options)
    except FileNotFoundError:
        raise ArtefactError(f"{file}: missing; {_again(file.parent)}") from None
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ArtefactError(f"{file}: damaged; {_again(file.parent)}") from error


def _again(folder: Path) -> str:
    place = folder.parent if folder.name == _SUMMARY else folder
    return f"`quantascope parity show {place}` writes the summary again"
