"""The two kinds of calibration: vectors compared with their signs, and without."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quantascope.qdg.calibrate.axes import AXES_METHODS, AxesReading, read_axes
from quantascope.qdg.calibrate.design import AnyRange, AxesRange, Range
from quantascope.qdg.calibrate.readings import METHODS, Reading, read_vectors
from quantascope.qdg.calibrate.table import Table

__all__ = ["KINDS", "SIGNED", "SIGN_FREE", "AnyReading", "Kind", "kind_of"]

AnyReading = Reading | AxesReading

_COLLAPSED: Final = 1.0
"""At this strain the lowest bar joined nearly everything, which says nothing of the others."""
_LEAST: Final = 1e-3
"""Below this an excess of similarity is noise, and its logarithm is not taken."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What is read, in which worlds, and what enters the belts."""

    table: str
    """Name of the shipped table."""
    methods: tuple[str, ...]
    default: str
    """Method with the smallest error and the narrowest interval (docs/calibration.md)."""
    reading: type[AnyReading]
    read: Callable[..., AnyReading]
    planted: AnyRange
    """Worlds of the shipped table."""
    tested: AnyRange
    """Worlds that test it, a little inside of its own."""
    wide: AnyRange
    """Worlds among which those that look like a run are sought."""
    near: tuple[str, ...]
    """What has to be alike for a world to look like a run."""
    conditions: Callable[[Table], NDArray[np.float64]]
    """Conditions that enter the belts, axes ``(world, condition)``, from columns of a table."""
    known: Mapping[str, slice]
    """Those that enter a method's belt, if not all."""
    n_mean: int | None = None
    cap: float = float("inf")
    """See `fit_belt`; sign-free slopes scatter with long tails, where large groups fall apart."""

    @property
    def read_names(self) -> tuple[str, ...]:
        """Columns of a table that were read."""
        return tuple(self.reading.__dataclass_fields__)


def kind_of(reading: AnyReading) -> Kind:
    """Give the kind that a reading belongs to."""
    return next(kind for kind in KINDS if isinstance(reading, kind.reading))


def _signed_conditions(rows: Table) -> NDArray[np.float64]:
    """Conditions under which signed slopes were read.

    Mean cosine; log excess of fellow members of fine clusters over it, as a share of what is
    possible; log participation ratio; log of how far the points were thinned; log share of that
    excess that pairs of coarse clusters keep.
    """
    mean = rows["mean"]
    fine, coarse = (np.maximum(rows[name] - mean, _LEAST) for name in ("fine", "coarse"))
    return np.column_stack(
        [
            mean,
            np.log(fine / np.maximum(1 - mean, _LEAST)),
            rows["dimension"],
            _thinning(rows),
            np.log(coarse / fine),
        ]
    )


def _axes_conditions(rows: Table) -> NDArray[np.float64]:
    """Conditions under which sign-free slopes were read, see `AxesReading`.

    They say how far a reading may be off, not which way: as terms of the mean they lowered no error
    on left-out worlds and raised those on networks (docs/calibration.md).
    """
    strain = np.where(rows["strain"] < _COLLAPSED, rows["strain"], 0.0)
    names = ("background", "coarse", "mean", "relatives", "slack")
    return np.column_stack([*(rows[name] for name in names), strain])


def _thinning(rows: Table) -> NDArray[np.float64]:
    thinning: NDArray[np.float64] = np.log(rows["population"] / rows["points"])
    return thinning


SIGNED: Final = Kind(
    table="slope_calibration",
    methods=METHODS,
    default="spectrum",
    reading=Reading,
    read=read_vectors,
    planted=Range(),
    tested=Range(slope=(0.8, 1.5), within=(0.2, 0.7), dim=(50.0, 2000.0), between=(0.0, 0.3)),
    wide=Range(slope=(0.4, 2.2), within=(0.03, 0.97), dim=(8.0, 8000.0), between=(0.0, 0.8)),
    near=("mean", "coarse", "fine", "dimension"),
    conditions=_signed_conditions,
    known={"spectrum": slice(4), "leiden": slice(5), "envelope": slice(5)},
)
SIGN_FREE: Final = Kind(
    table="slope_calibration_sign_free",
    methods=AXES_METHODS,
    default="joined",
    reading=AxesReading,
    read=read_axes,
    planted=AxesRange(),
    tested=AxesRange(
        slope=(0.8, 1.5),
        groups=(10.0, 150.0),
        contrast=(4.0, 60.0),
        flattening=(0.0, 0.9),
        pattern=(6.0, 25.0),
        own=(0.12, 0.7),
        peaked=(1.0, 2.8),
        kin=(-0.3, 0.4),
        shared=(-0.15, 0.06),
        dim=(1000.0, 5000.0),
    ),
    wide=AxesRange(
        slope=(0.4, 2.4),
        groups=(4.0, 600.0),
        contrast=(1.5, 400.0),
        flattening=(0.0, 1.2),
        pattern=(2.0, 80.0),
        own=(0.05, 0.95),
        kin=(-0.3, 0.8),
        shared=(-0.1, 0.3),
        dim=(200.0, 8000.0),
    ),
    near=("mean", "background", "fine", "coarse", "relatives", "fragments"),
    conditions=_axes_conditions,
    known={},
    n_mean=0,
    cap=1.5,
)
KINDS: Final = (SIGNED, SIGN_FREE)
