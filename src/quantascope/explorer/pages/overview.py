"""The first page of a run: what was looked at, what was found, how sure that is, where to go on."""

import math
from typing import Any

from quantascope.explorer.pages.figures import figures_of
from quantascope.explorer.pages.page import Asked, Page, Shown
from quantascope.explorer.view import View
from quantascope.explorer.words import chips
from quantascope.reader.conclusions import TOPICS, conclusions
from quantascope.reader.tokens import render_words

__all__ = ["OVERVIEW"]

_COUNTS = ("n_documents", "n_tokens", "n_predictions", "max_length")


def show(asked: Asked) -> Shown:
    """Gather counts, models, exponents and the sentences of what may be concluded."""
    view = asked.view
    run = view.run
    data = {
        "run": run.name,
        "source": run.manifest("corpus").config["source"],
        "corpus": {name: run.facts("corpus")[name] for name in _COUNTS},
        "stages": view.stages,
        "found": view.of_run.get("found", lambda: _found(view)),
    }
    html: dict[str, Any] = {"figures": figures_of(view), "labels": []}
    if view.has("losses"):
        data["models"] = run.models.drop(columns=["context_length"]).to_dict("records")
    if view.has("selection"):
        data["selection"] = run.table("selection", "counts").to_dict("records")
    if view.has("fits"):
        data["fits"] = run.fits.reset_index().to_dict("records")
    if view.has("clusters"):
        data["clusters"] = run.clusters.head(10).drop(columns=["clustering"]).to_dict("records")
        data["clusterings"] = run.clusterings.to_dict("records")
        html["labels"] = [_label(view, row["cluster"]) for row in data["clusters"]]
    if view.has("losses", "selection", "sketch", "clusters", "ranks", "fits"):
        data["conclusions"] = view.of_run.get("conclusions", lambda: conclusions(run))
        data["topics"] = list(TOPICS)
    table = run.models if view.has("losses") else None
    return Shown(title="Overview", data=data, html=html, table=table)


def _found(view: View) -> dict[str, Any]:
    """Gather what the run says in a few numbers; None for what it does not say."""
    return {"scaling": _scaling(view), "clusters": _clusters(view), "slope": _slope(view)}


def _scaling(view: View) -> dict[str, Any] | None:
    """Give the fall of the mean loss over sizes; None with fewer than two sizes."""
    if not view.has("losses"):
        return None
    mean = view.finished.groupby("n_params")["mean_loss_nats"].mean()
    if len(mean) < 2:
        return None
    found: dict[str, Any] = {
        "n_models": len(view.finished),
        "smallest": int(mean.index[0]), "largest": int(mean.index[-1]),
        "loss_first": float(mean.iloc[0]), "loss_last": float(mean.iloc[-1]),
        "exponent": None, "lo": None, "hi": None,
    }  # fmt: skip
    if view.has("fits") and "alpha_N" in view.run.fits.index:
        fit = view.run.fits.loc["alpha_N"]
        if fit["identified"]:
            found |= {"exponent": fit["estimate"], "lo": fit["lo"], "hi": fit["hi"]}
    return found


def _clusters(view: View) -> dict[str, Any] | None:
    """Count the clusters of the clustering; None where there are none yet."""
    if not view.has("clusters"):
        return None
    run = view.run
    rows = run.clusterings.set_index("clustering")
    facts = run.facts("selection") if view.has("selection") else {}
    return {
        "n_clusters": len(run.clusters),
        "n_preds": int(run.clusters["size"].sum()),
        "largest": int(run.clusters["size"].max()),
        "n_incoherent": int((~run.clusters["coherent"].astype(bool)).sum()),
        "stability": float(rows.loc[run.default_clustering, "stability"]),
        "threshold_nats": facts.get("threshold_nats"), "model": facts.get("model"),
    }  # fmt: skip


def _slope(view: View) -> dict[str, Any] | None:
    """Give the slope of sizes against ranks, the first calibrated one if there is one."""
    if not view.has("fits"):
        return None
    fits = view.run.fits
    slopes = fits[fits.index.str.startswith("calibrated_") | (fits.index == "envelope_slope")]
    known = slopes[slopes["calibrated"].astype(bool)]
    chosen = (known if len(known) else slopes[slopes["identified"].astype(bool)]).head(1)
    if chosen.empty or not math.isfinite(chosen["estimate"].iloc[0]):
        return None
    row = chosen.iloc[0]
    return {
        "name": chosen.index[0], "estimate": row["estimate"], "lo": row["lo"], "hi": row["hi"],
        "calibrated": bool(row["calibrated"]),
    }  # fmt: skip


def _label(view: View, cluster: str) -> Any:
    """Render a label without what the list of clusters needs: this page is to be there at once."""
    group = view.groups.get(cluster) if view.log[0] else None
    if group is not None and group.name:
        return render_words(group.name)
    return chips(view.run.label_parts(cluster))


OVERVIEW = Page(name="overview", path="", show=show, needs=("corpus",))
