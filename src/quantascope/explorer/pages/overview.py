"""The first page of a run: what was looked at, what was found, what may be concluded."""

from quantascope.explorer.pages.figures import figures_of
from quantascope.explorer.pages.page import Asked, Page, Shown
from quantascope.reader.conclusions import conclusions

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
    }
    if view.has("losses"):
        data["models"] = run.models.drop(columns=["context_length"]).to_dict("records")
    if view.has("selection"):
        data["selection"] = run.table("selection", "counts").to_dict("records")
    if view.has("fits"):
        data["fits"] = run.fits.reset_index().to_dict("records")
    if view.has("clusters"):
        data["clusters"] = run.clusters.head(10).drop(columns=["clustering"]).to_dict("records")
        data["clusterings"] = run.clusterings.to_dict("records")
    if view.has("losses", "selection", "sketch", "clusters", "ranks", "fits"):
        data["conclusions"] = view.of_run.get("conclusions", lambda: conclusions(run))
    table = run.models if view.has("losses") else None
    html = {"figures": figures_of(view)}
    return Shown(title="Overview", data=data, html=html, table=table)


OVERVIEW = Page(name="overview", path="", show=show, needs=("corpus",), menu="Overview", key="o")
