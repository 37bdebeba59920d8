"""All about one drop of the mean loss: its parts, their concentration, the exponents.

Parts and, where there is one, the exponent of their use enter. What a run knows and what a sweep of
parity knows come together here.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from quantascope.families.concentration import TOP, Concentration, concentrate
from quantascope.families.decompose import Decomposition, Parts, decompose
from quantascope.families.exponents import (
    Measured,
    Predicted,
    UseExponent,
    compare,
    measure_exponent,
    predict_exponent,
)
from quantascope.families.series import Series

__all__ = ["Breakdown", "break_down", "find_level"]

_NEAR: Final = 0.05
"""How far a level may lie off what was asked."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Breakdown:
    """The drop of a mean loss between two levels."""

    names: NDArray[np.str_]
    """Of the groups."""
    found: Decomposition
    spread: Concentration
    measured: Measured
    predicted: Predicted | None
    """None where nothing is known of the frequencies of use."""
    notes: tuple[str, ...] = ()
    """What the groups stand for, and what they leave out."""

    @property
    def verdicts(self) -> dict[str, str]:
        """Whether measured and predicted exponents agree."""
        if self.predicted is None:
            return {"endless": "not judged", "finite": "not judged"}
        return {
            "endless": compare(self.measured, self.predicted),
            "finite": compare(self.measured, self.predicted, finite=True),
        }

    def to_table(self) -> pa.Table:
        """Make an Arrow table with one row a part."""
        return self.found.to_table(self.names)

    def as_dict(self) -> dict[str, Any]:
        """Give all as plain values, for JSON."""
        series = self.found.parts.series
        return {
            "over": series.scale,
            "levels": series.x.tolist(),
            "mean_loss_nats": (self.found.parts.share @ series.level_means()).tolist(),
            "from": float(series.x[self.found.first]),
            "to": float(series.x[self.found.last]),
            "drop_nats": self.found.total,
            "covered": self.found.covered,
            "concentration": {
                "top": list(TOP),
                **{key: value for key, value in asdict(self.spread).items()},
            },
            "measured": asdict(self.measured),
            "predicted": None if self.predicted is None else asdict(self.predicted),
            "verdicts": self.verdicts,
            "notes": list(self.notes),
            "parts": self.to_table().to_pylist(),
        }


def break_down(
    parts: Parts,
    names: NDArray[np.str_],
    *,
    use: UseExponent | None = None,
    first: int = 0,
    last: int = -1,
    notes: Sequence[str] = (),
) -> Breakdown:
    """Decompose the drop between two levels, and fit the exponents between them.

    Parameters
    ----------
    parts
        Of the mean loss.
    names
        Of the groups.
    use
        Exponent of the frequencies of use.
    first, last
        Places of the two levels; exponents are fitted from the lower to the higher.
    notes
        To be said with the result.

    Raises
    ------
    ValueError
        As `quantascope.families.decompose.decompose`.
    """
    found = decompose(parts, first=first, last=last)
    lo, hi = sorted((found.first, found.last))
    whole = _cut(parts.series, parts.whole, lo, hi)
    return Breakdown(
        names=names,
        found=found,
        spread=concentrate(found),
        measured=measure_exponent(whole),
        predicted=None if use is None else predict_exponent(use, whole),
        notes=tuple(notes),
    )


def find_level(series: Series, value: float | None, *, default: int) -> int:
    """Give the place of the level nearest to a size or step, None the default.

    Raises
    ------
    ValueError
        If no level is within 5 %; the message names those around.
    """
    if value is None:
        return default
    off = np.abs(np.log(series.x / value)) if value > 0 else np.full(len(series.x), np.inf)
    place = int(off.argmin())
    if off[place] <= np.log1p(_NEAR):
        return place
    around = series.x[max(place - 3, 0) : place + 4]
    levels = ", ".join(f"{x:.6g}" for x in around)
    more = ", ..." if len(around) < len(series.x) else ""
    raise ValueError(f"from, to: {value:g} found; the levels are {levels}{more}")


def _cut(series: Series, whole: NDArray[np.float64], lo: int, hi: int) -> Series:
    """Take the mean loss between two levels."""
    kept = (series.level >= lo) & (series.level <= hi)
    return replace(
        series,
        x=series.x[lo : hi + 1],
        losses=whole[None, kept],
        level=series.level[kept] - lo,
        run=series.run[kept],
    )
