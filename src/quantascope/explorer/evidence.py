"""What speaks for a cluster beyond its contexts: tokens that tell it, members' curves, chance.

Each function gives plain values, or nothing where the run does not have what it needs.
"""

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from quantascope.core.rng import hash_order
from quantascope.explorer.view import View
from quantascope.reader.run import FEATURE_WORDS

__all__ = ["draw_members", "features", "foretold", "members_over_sizes", "share_of_drop", "verdict"]

_DRAWN: Final = 24
"""Members whose own curve is drawn."""
_BAND: Final = (0.1, 0.5, 0.9)
_WIDTH, _HEIGHT = 520, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 108, 12, 38
_LEAST_LOSS: Final = 1e-3
"""Least loss [nat] that is told apart in the drawing, whose scale is logarithmic."""

Floats = NDArray[np.float64]


def features(view: View, cluster: str) -> list[dict[str, Any]]:
    """List the n-grams that tell a cluster's predictions from others, best first."""
    rows = view.run.labels.iloc[view.features.get(cluster, np.zeros(0, dtype=np.int64))]
    return [
        {"feature": FEATURE_WORDS.get(row.feature, row.feature), "text": view.decode(row.token_ids),
         "count": row.count, "log_odds": row.log_odds, "z": row.z, "auc": row.auc}
        for row in rows.sort_values("place").itertuples(index=False)
    ]  # fmt: skip


def members_over_sizes(view: View, cluster: str) -> dict[str, Any] | None:
    """Give the losses [nat] of a cluster's members over sizes, averaged over seeds.

    Returns
    -------
    dict[str, Any] | None
        ``n_params``; ``p10``, ``p50``, ``p90`` and ``mean`` over members; ``of_all``, the mean of
        all predictions; ``members``, curves of some. None with fewer than two sizes.
    """
    models = view.finished
    sizes, place = np.unique(models["n_params"].to_numpy(), return_inverse=True)
    if len(sizes) < 2:
        return None
    preds = view.groups[cluster].preds
    mine = _by_size(view.member_losses(cluster), place)
    of_all = _by_size(models["mean_loss_nats"].to_numpy(dtype=np.float64)[None], place)[0]
    chosen = np.sort(np.argsort(hash_order(preds, seed=0), kind="stable")[:_DRAWN])
    lo, middle, hi = np.quantile(mine, _BAND, axis=0)
    return {
        "n_params": sizes.tolist(),
        "p10": lo.tolist(), "p50": middle.tolist(), "p90": hi.tolist(),
        "mean": mine.mean(axis=0).tolist(), "of_all": of_all.tolist(),
        "members": [{"pred": p, "loss_nats": y} for p, y in
                    zip(preds[chosen].tolist(), mine[chosen].tolist(), strict=True)],
    }  # fmt: skip


def _by_size(losses: Floats, place: NDArray[np.integer]) -> Floats:
    """Average columns of the same size; axes ``row size``."""
    n = np.bincount(place)
    summed = np.zeros((len(losses), len(n)))
    np.add.at(summed.T, place, losses.T)
    return summed / n


def draw_members(found: dict[str, Any]) -> Markup:
    """Draw members' curves, their band and mean, and the mean of all predictions."""
    x = np.log(np.array(found["n_params"], dtype=np.float64))
    across = _LEFT + (_WIDTH - _LEFT - _RIGHT) * (x - x[0]) / (x[-1] - x[0])
    curves = [one["loss_nats"] for one in found["members"]]
    top = max(np.nanmax(np.array([*curves, found["of_all"], found["p90"]])), 10 * _LEAST_LOSS)

    def down(y: Sequence[float]) -> Floats:
        up = np.log(np.maximum(y, _LEAST_LOSS) / _LEAST_LOSS) / np.log(top / _LEAST_LOSS)
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * up

    band = [*zip(across, down(found["p10"]), strict=True)]
    band += reversed([*zip(across, down(found["p90"]), strict=True)])
    parts = [
        Markup('<polygon class="within" points="{}"/>').format(_points(band)),
        *(_line("member", across, down(y)) for y in curves),
        _line("all", across, down(found["of_all"])),
        _line("mean", across, down(found["mean"])),
        *_axes(across, found["n_params"], top=top, down=down),
        *_names(found, down),
    ]
    said = (
        f"Loss over size: mean of the cluster from {found['mean'][0]:.3g} to "
        f"{found['mean'][-1]:.3g} nat, of all predictions from {found['of_all'][0]:.3g} to "
        f"{found['of_all'][-1]:.3g}; the band holds 8 of 10 members"
    )
    return Markup(
        '<svg class="curves" viewBox="0 0 {} {}" role="img"><title>{}</title>{}</svg>'
    ).format(_WIDTH, _HEIGHT, said, Markup("").join(parts))


def _points(places: Sequence[tuple[Any, Any]]) -> str:
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in places if math.isfinite(b))


def _line(name: str, across: Floats, down: Floats) -> Markup:
    points = _points([*zip(across, down, strict=True)])
    return Markup('<polyline class="{}" points="{}"/>').format(name, points)


def _axes(across: Floats, sizes: Sequence[int], *, top: float, down: Any) -> list[Markup]:
    floor = _HEIGHT - _BOTTOM
    parts = [
        Markup('<path class="axis" d="M{0} {1}V{2}H{3}"/>').format(
            _LEFT, _TOP, floor, _WIDTH - _RIGHT
        )
    ]
    for power in range(round(math.log10(_LEAST_LOSS)), math.floor(math.log10(top)) + 1):
        value = 10.0**power
        parts.append(_text(_LEFT - 6, down([value])[0] + 4, f"{value:g}", anchor="end"))
    last = -math.inf
    for at, size in zip(across.tolist(), sizes, strict=True):
        if at - last > 66:  # else the words would run into each other
            parts.append(_text(at, floor + 16, f"{size:.3g}", anchor="middle"))
            last = at
    return [*parts, _text(_LEFT, _HEIGHT - 3, "loss [nat] against parameters", anchor="start")]


def _names(found: dict[str, Any], down: Any) -> list[Markup]:
    """Name the two means at their right ends, one below the other where they meet."""
    a, b = down([found["mean"][-1]])[0], down([found["of_all"][-1]])[0]
    if abs(a - b) < 14:
        a, b = (a + 7, b - 7) if a >= b else (a - 7, b + 7)
    x = _WIDTH - _RIGHT + 6
    return [
        _text(x, a + 4, "cluster", anchor="start"),
        _text(x, b + 4, "all predictions", anchor="start"),
    ]


def _text(x: float, y: float, text: str, *, anchor: str) -> Markup:
    return Markup('<text x="{:.0f}" y="{:.0f}" text-anchor="{}">{}</text>').format(
        x, y, anchor, text
    )


def verdict(row: dict[str, Any]) -> str:
    """Say in words whether the members are more alike than chance makes groups of this size."""
    mine, chance = row["mean_similarity"], row["null_similarity"]
    if not (math.isfinite(mine) and math.isfinite(chance)):
        return "Not compared with chance: too small, or regrouped by hand."
    if row["coherent"]:
        return (
            f"Its gradients are more alike ({mine:.3g}) than those of 99 in 100 random groups of "
            f"its size ({chance:.3g})."
        )
    return (
        f"Its gradients are no more alike ({mine:.3g}) than those of random groups of its size may "
        f"be (1 in 100 reaches {chance:.3g}): take it for chance until more speaks for it."
    )


def share_of_drop(view: View, cluster: str) -> dict[str, Any] | None:
    """Give a cluster's share of the drop of the mean loss from the smallest to the largest size."""
    split = view.split
    place = None if split is None else view.split_places.get(cluster)
    if split is None or place is None:
        return None
    found, x = split.found, split.found.parts.series.x
    return {
        "from": float(x[found.first]), "to": float(x[found.last]),
        "share_of_predictions": float(found.parts.share[place]),
        "share_of_drop": float(found.share_of_drop[place]),
        "error": float(np.fmax(found.seed_error[place], found.pred_error[place])),
        "drop_nats": float(found.drop[place]),
    }  # fmt: skip


def foretold(view: View, cluster: str) -> list[dict[str, Any]]:
    """List what forecasts by cluster say of one: the last forecast of each scale and target."""
    return view.forecasts.get(cluster, [])
