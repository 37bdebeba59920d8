"""Fits that `fit` wrote, read back: whole or refused, with replicates made where there are none."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from quantascope.laws.fitting.result import LawFit

__all__ = ["read_fit", "resampled"]

_MAX_BYTES: Final = 400_000_000


def read_fit(path: Path) -> "LawFit":
    """Read a fit from the JSON that `fit` writes.

    Raises
    ------
    DataError
        If the file is missing, too large, not JSON, or not a whole fit.
    """
    from quantascope.core.errors import DataError
    from quantascope.laws import LAWS
    from quantascope.laws.fitting.result import LawFit

    hint = "give what `quantascope fit --out FIT.json` wrote"
    if not path.is_file():
        raise DataError(f"{path}: no such file; {hint}")
    if path.stat().st_size > _MAX_BYTES:
        raise DataError(f"{path}: over {_MAX_BYTES:,} bytes; {hint}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        raise DataError(f"{path}: not JSON; {hint}") from None
    _refuse_own_law(path, content)
    try:
        found = LawFit.from_json(content)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except (KeyError, TypeError, AttributeError, ValueError):
        raise DataError(f"{path}: a damaged fit; {hint}") from None
    try:
        law = LAWS[found.law]
        law.encode(found.params)
        whole = set(found.ranges) == set(law.inputs)
        if found.replicates is not None:
            law.encode(dict(zip(law.names, found.replicates.T, strict=True)))
    except (KeyError, TypeError, AttributeError, ValueError):
        whole = False
    if not whole:
        raise DataError(f"{path}: a damaged fit, or one of an unknown law; {hint}")
    return found


def _refuse_own_law(path: Path, content: Any) -> None:  # noqa: ANN401  (JSON)
    """Say what to do with a law that JSON does not hold."""
    from quantascope.core.errors import DataError
    from quantascope.laws import LAWS

    law = content.get("law") if isinstance(content, dict) and "schema" in content else None
    if isinstance(law, str) and law not in LAWS:
        raise DataError(
            f"{path}: law {law[:40]!r} is none of the table; read it in Python with "
            "LawFit.from_json(..., law=...) and plan with quantascope.laws.planning.allocate.plan"
        )


def resampled(path: Path, fit: "LawFit", *, n: int, seed: int) -> "LawFit":
    """Give a fit replicates, if it has none; faults of its stored points name its file."""
    from quantascope.core.errors import DataError
    from quantascope.core.progress import track
    from quantascope.laws import Bootstrap
    from quantascope.laws.planning.advice import with_replicates

    if fit.replicates is not None or not n:
        return fit
    Bootstrap(n=n)  # refuses the number before the points can be at fault
    try:
        with track("bootstrap", n, unit="replicate") as advance:
            return with_replicates(fit, n=n, seed=seed, advance=advance)
    except (DataError, ValueError) as error:
        raise DataError(f"{path}: {error}") from error
