"""The command `shapes`: a table of curves in, the shape of each with p-values out."""

import json
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from quantascope.laws.shapes import ShapeTable

    Floats = NDArray[np.float64]

__all__ = ["register"]

_MAX_LISTED: Final = 40
_MAX_CELLS: Final = 50_000_000


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(shapes)


@dataclass(frozen=True, kw_only=True)
class _Table:
    """Curves of a file on the union of their x."""

    names: list[str]
    x: "Floats"
    y: "Floats"
    """Axes ``curve point``, or ``curve replicate point``."""
    stderr: "Floats | None"


def shapes(
    file: Annotated[Path, typer.Argument(help="Table: .csv, .tsv, .jsonl or .parquet.")],
    x: Annotated[str, typer.Option(help="Column of the scale (size, tokens, steps).")],
    y: Annotated[str, typer.Option(help="Column of what was measured.")],
    curve: Annotated[str | None, typer.Option(help="Column that names the curve of a row.")] = None,
    stderr: Annotated[str | None, typer.Option(help="Column of y's standard errors.")] = None,
    metric: Annotated[
        str, typer.Option(help="loss (lower is better), accuracy or count (higher is).")
    ] = "loss",
    level: Annotated[float, typer.Option(help="Share of false claims allowed.")] = 0.05,
    correction: Annotated[
        str, typer.Option(help="For the number of curves: bh (share of false) or holm (any).")
    ] = "bh",
    seed: Annotated[int, typer.Option(help="Of the simulated flat curves.")] = 0,
    plot: Annotated[Path | None, typer.Option(help="Figure to write: .svg, .png or .pdf.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Classify curves: flat, monotone, inverse, U, inverted U, double descent, abrupt, broken.

    Rows of one curve that share an x are replicates.
    """
    from quantascope.cli.output import check_targets, save_figure
    from quantascope.core.numbers import plain
    from quantascope.core.progress import track
    from quantascope.laws.shapes import classify_shapes

    check_targets(plot=plot, inputs=[file])
    table = _read(file, {"x": x, "y": y}, curve=curve, stderr=stderr)
    with track("curves", len(table.names), unit="curve") as advance:
        found = classify_shapes(
            table.x,
            table.y,
            metric=metric,  # type: ignore[arg-type]  # checked there
            stderr=table.stderr,
            level=level,
            correction=correction,  # type: ignore[arg-type]
            seed=seed,
            advance=advance,
        )
    if as_json:
        print(json.dumps(plain(_object(found, table.names)), allow_nan=False))
    else:
        print(_text(found, table.names))
    if plot:
        save_figure(plot, lambda ax: _draw(table, found, metric, y, ax))
        print(plot, file=sys.stderr if as_json else sys.stdout)


def _read(file: Path, columns: dict[str, str], *, curve: str | None, stderr: str | None) -> _Table:
    import numpy as np

    from quantascope.cli.tables import read_columns
    from quantascope.core.errors import DataError

    columns |= {"curve": curve} if curve else {}
    columns |= {"stderr": stderr} if stderr else {}
    found = read_columns(file, columns, text=("curve",))
    given = found.get("curve", np.full(len(found["x"]), columns["y"], dtype=object))
    names, row = np.unique(given.astype(object), return_inverse=True)
    scale, place = np.unique(found["x"], return_inverse=True)
    cell = row * len(scale) + place
    order = np.argsort(cell, kind="stable")
    starts = np.flatnonzero(np.diff(cell[order], prepend=-1))
    again = np.empty(len(cell), dtype=np.int64)  # which replicate of its cell a row is
    again[order] = np.arange(len(cell)) - np.repeat(starts, np.diff([*starts, len(cell)]))
    n_replicates = int(again.max()) + 1
    if len(names) * n_replicates * len(scale) > _MAX_CELLS:
        raise DataError(
            f"{file}: {len(names):,} curves with {n_replicates:,} replicates at {len(scale):,} x;"
            f" allowed are {_MAX_CELLS:,} cells in all: average replicates or split the table"
        )
    if n_replicates > 1 and stderr:
        raise DataError(
            f"{file}: a curve has {n_replicates} rows at one x, so --stderr cannot be used;"
            " leave it out, or name the curves by --curve"
        )

    def spread(values: "Floats") -> "Floats":
        cells = np.full((len(names), n_replicates, len(scale)), np.nan)
        cells[row, again, place] = values
        return cells if n_replicates > 1 else cells[:, 0]

    errors = spread(found["stderr"]) if stderr else None
    return _Table(names=names.tolist(), x=scale, y=spread(found["y"]), stderr=errors)


def _object(found: "ShapeTable", names: list[str]) -> dict[str, Any]:
    from quantascope.laws.shapes import CLAIMS

    rows = [
        {
            "curve": name,
            "shape": str(found.shape[i]),
            "direction": str(found.direction[i]),
            "p": dict(zip(CLAIMS, found.p[i].tolist(), strict=True)),
            "p_bh": dict(zip(CLAIMS, found.p_bh[i].tolist(), strict=True)),
            "p_holm": dict(zip(CLAIMS, found.p_holm[i].tolist(), strict=True)),
            "turning_point": float(found.turning_point[i]),
            "turning_interval": [float(found.turning_lo[i]), float(found.turning_hi[i])],
            "sharpness": float(found.sharpness[i]),
            "n_points": int(found.n_points[i]),
        }
        for i, name in enumerate(names)
    ]
    return {
        "curves": rows,
        "shapes": dict(Counter(found.shape.tolist())),
        "level": found.level,
        "correction": found.correction,
        "method": found.method,
    }


def _text(found: "ShapeTable", names: list[str]) -> str:
    from quantascope.cli.output import aligned
    from quantascope.cli.tables import shown

    corrected = found.p_bh if found.correction == "bh" else found.p_holm
    rows = [("curve", "shape", "direction", "change", "turn", "2nd turn", "bend", "at")]
    for i, name in enumerate(names[:_MAX_LISTED]):
        plain = name if name.isprintable() and len(name) <= 40 else shown(name)
        values = [f"{p:.2g}" if p == p else "-" for p in corrected[i]]  # noqa: PLR0124  (NaN)
        at = f"{found.turning_point[i]:.3g} [{found.turning_lo[i]:.3g}, {found.turning_hi[i]:.3g}]"
        placed = found.turning_point[i] == found.turning_point[i]  # noqa: PLR0124
        rows.append((plain, found.shape[i], found.direction[i], *values, at if placed else ""))
    lines = [aligned(rows)]
    if len(names) > _MAX_LISTED:
        lines.append(f"... and {len(names) - _MAX_LISTED:,} more; --json has all")
    counts = ", ".join(f"{n:,} {shape}" for shape, n in Counter(found.shape.tolist()).most_common())
    lines += [
        f"{len(names):,} curve{'s' if len(names) > 1 else ''}: {counts}",
        f"p-values corrected for the number of curves ({found.correction}), level {found.level:g};"
        f" {found.method}",
    ]
    return "\n".join(lines)


def _draw(table: _Table, found: "ShapeTable", metric: str, label: str, ax: Any) -> None:  # noqa: ANN401
    import numpy as np

    from quantascope.plots.shapes import MAX_CURVES, plot_shapes

    y, stderr = table.y[:MAX_CURVES], table.stderr
    if y.ndim == 3:
        count = np.isfinite(y).sum(axis=1)
        mean = np.nansum(y, axis=1) / np.where(count, count, np.nan)
        spread = np.sqrt(np.nansum((y - mean[:, None]) ** 2, axis=1) / np.maximum(count - 1, 1))
        y, stderr = mean, spread / np.sqrt(np.maximum(count, 1))
    turns = np.stack([found.turning_point, found.turning_lo, found.turning_hi], axis=1)
    plot_shapes(
        table.x,
        y,
        stderr=stderr,
        names=[
            f"{ascii(n)[1:-1][:40]}: {s}" for n, s in zip(table.names, found.shape, strict=True)
        ][:MAX_CURVES],
        turns=turns,
        log_y=metric == "loss",
        y_label=ascii(label)[1:-1][:40],
        ax=ax,
    )
