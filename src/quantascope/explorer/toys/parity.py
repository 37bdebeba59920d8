"""The page of a sweep of sparse parity: setting, networks, exponents, when what was learned.

Every number stands in the folder; here they are laid out.
"""

from typing import Any, Final
from urllib.parse import quote

import numpy as np
import pandas as pd

from quantascope.core.units import nats_to_bits
from quantascope.explorer.pages.page import Shown
from quantascope.explorer.toys.kind import Drawn, Toy, ToyKind
from quantascope.explorer.toys.pictures import pictures_of
from quantascope.reader.parity import ParityFolder

__all__ = ["PARITY"]

_MOST_RUNS: Final = 500
_MOST_SUBTASKS: Final = 1000
_TASK: Final = ("n_tasks", "n", "k", "distribution", "offset")
_TRAINING: Final = ("batch_size", "learning_rate", "weight_decay", "init_scale")
_VARIED: Final = {
    "alphas": "task_alpha",
    "widths": "width",
    "seeds": "seed",
    "samples": "n_samples",
}
_FIGURES: Final = {
    "subtasks": "Losses of the subtasks over training, and their mean",
    "scaling": "Losses over the resources that were varied, above those of each subtask",
    "exponents": "Exponents over alpha, measured and predicted",
}
_RESOURCES: Final = ("parameters", "steps", "samples")
_PANEL: Final = 420
"""Width of one panel of a figure that has several [px]."""
_FORMS: Final = ("svg", "png", "csv", "parquet")


def show(toy: Toy) -> Shown:
    """Lay out a sweep; of one network, that the address names, the subtasks."""
    sweep: ParityFolder = toy.content
    settings = sweep.settings
    data: dict[str, Any] = {
        "toy": toy.name,
        "setting": {name: settings.task.get(name) for name in _TASK}
        | {name: settings.training.get(name) for name in _TRAINING}
        | {"n_steps": settings.schedule.get("n_steps"), "n_runs": settings.n_runs},
        "summary": sweep.has_summary,
        "pictures": pictures_of(toy.path),
    }
    if not sweep.has_summary:
        return Shown(title=toy.name, data=data, html={"figures": []})
    place = _chosen(toy)
    mine = sweep.learned[sweep.learned["run"] == place]
    data |= {
        "varied": {name: _values(sweep.runs[column]) for name, column in _VARIED.items()},
        "runs": _networks(sweep).head(_MOST_RUNS).to_dict("records"),
        "exponents": sweep.exponents.to_dict("records"),
        "run": place,
        "n_learned": int(np.isfinite(mine["learned_by"]).sum()),
        "subtasks": _learned(mine).head(_MOST_SUBTASKS).to_dict("records"),
    }
    shown = [*(["subtasks"] if len(mine) else []), *_of_sweep(sweep)]
    known = _networks(sweep)[["run", "alpha", "width", "samples", "seed"]]
    table = known.merge(_learned(sweep.learned), on="run")
    return Shown(title=toy.name, data=data, html={"figures": _addresses(toy, shown)}, table=table)


def figure(toy: Toy, name: str) -> Drawn:
    """Give a figure by its name.

    Raises
    ------
    KeyError
        If the sweep has no such figure.
    """
    from quantascope.plots.parity import plot_exponents, plot_scaling  # noqa: PLC0415  slow to load
    from quantascope.plots.subtasks import plot_subtasks  # noqa: PLC0415

    sweep: ParityFolder = toy.content
    if name == "subtasks" and sweep.has_summary:
        curves = sweep.curves(_chosen(toy))
        return Drawn(
            draw=lambda ax: plot_subtasks(curves.steps, curves.losses, curves.frequencies, ax=ax),
            table=lambda: _curve_table(curves.steps, curves.losses),
        )
    if name in _of_sweep(sweep):
        tables = sweep.scaling
        if name == "scaling":
            return Drawn(draw=lambda ax: plot_scaling(tables, ax=ax), table=lambda: _points(tables))
        drawn = _over_alpha(sweep.exponents)
        published = tables["published-exponents"]
        return Drawn(
            draw=lambda ax: plot_exponents(drawn, ax=ax, published=published),
            table=lambda: sweep.exponents,
        )
    raise KeyError(f"{name[:40]!r}: no such figure; there are {', '.join(_FIGURES)}")


def _chosen(toy: Toy) -> int:
    """Give the network that the address names, else the one that learned most."""
    n_learned = toy.content.runs["n_learned"].to_numpy()
    most = int(np.argmax(n_learned)) if len(n_learned) else 0
    return toy.query.integer("run", most, lo=0, hi=max(len(n_learned) - 1, 0))


def _of_sweep(sweep: ParityFolder) -> list[str]:
    """Name the figures beyond a network's own that the folder has the tables for."""
    if not sweep.has_summary:
        return []
    over_alpha = "published-exponents" in sweep.scaling
    over_resources = {"exponents", "published"} <= sweep.scaling.keys()
    return ["exponents"] * over_alpha + ["scaling"] * over_resources


def _networks(sweep: ParityFolder) -> pd.DataFrame:
    """Give a row a network; the loss of one that rereads its samples is that of its best step."""
    runs = sweep.runs
    loss = np.where(runs["n_samples"] > 0, runs["best_nats"], runs["final_nats"])
    return pd.DataFrame(
        {
            "run": runs["run"], "alpha": runs["task_alpha"], "width": runs["width"],
            "n_params": runs["n_params"], "samples": runs["n_samples"], "seed": runs["seed"],
            "loss_nats": loss, "loss_bits": nats_to_bits(loss), "n_learned": runs["n_learned"],
            "n_steps": runs["n_steps"],
        }
    )  # fmt: skip


def _learned(rows: pd.DataFrame) -> pd.DataFrame:
    found = rows[["run", "subtask", "frequency", "learned_after", "learned_by"]].copy()
    found["learned"] = np.isfinite(found["learned_by"])
    return found.assign(final_bits=nats_to_bits(rows["final_nats"]))


def _values(column: pd.Series) -> list[Any]:
    return sorted(column.unique().tolist())


def _curve_table(steps: Any, losses: Any) -> pd.DataFrame:
    n_tasks = losses.shape[1]
    return pd.DataFrame(
        {
            "step": np.repeat(steps, n_tasks),
            "subtask": np.tile(np.arange(1, n_tasks + 1), len(steps)),
            "loss_nats": losses.ravel(),
        }
    )


def _points(tables: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """Join the tables of mean losses over resources."""
    parts = [
        pd.DataFrame(tables[name]).assign(resource=name) for name in _RESOURCES if name in tables
    ]
    return pd.concat(parts, ignore_index=True)


def _over_alpha(exponents: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Lay exponents out over alpha, a table a symbol."""
    symbols = [name for name in ("alpha_N", "alpha_S", "alpha_D") if name in set(exponents["name"])]
    columns = ("alpha", "estimate", "lo", "hi", "asymptotic", "finite")
    return {
        name: {c: exponents.loc[exponents["name"] == name, c].to_numpy() for c in columns}
        for name in symbols
    }


def _addresses(toy: Toy, names: list[str]) -> list[dict[str, Any]]:
    """List the figures with the addresses of their files."""
    base = f"/t/{quote(toy.name, safe='')}/figures"
    found = []
    for name in names:
        asked = toy.query.text("run") if name == "subtasks" else ""
        more = f"?run={quote(asked, safe='')}" if asked else ""
        files = {form: f"{base}/{name}.{form}{more}" for form in _FORMS}
        dark = f"{files['svg']}{'&' if more else '?'}theme=dark"
        size = _size(toy.content, name)
        found.append({"name": name, "title": _FIGURES[name], "dark": dark} | files | size)
    return found


def _size(sweep: ParityFolder, name: str) -> dict[str, int]:
    """Give the size [px] of a figure of several panels, as `quantascope.plots.parity` lays them."""
    if name == "scaling":
        n_panels = sum(resource in sweep.scaling for resource in _RESOURCES)
        return {"width": n_panels * _PANEL, "height": round(1.77 * _PANEL)}
    if name == "exponents":
        return {"width": len(_over_alpha(sweep.exponents)) * _PANEL, "height": round(1.03 * _PANEL)}
    return {}


PARITY = ToyKind(
    template="parity.html",
    read=ParityFolder,
    show=show,
    figure=figure,
    watched=("summary",),
)
