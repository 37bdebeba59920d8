"""One predicted token: its document around it, its losses, its cluster."""

import math
from typing import Any, Final

import numpy as np

from quantascope.explorer.pages.page import Asked, Page, Shown

__all__ = ["TOKEN"]

_MOST_BEFORE: Final = 1024


def show(asked: Asked) -> Shown:
    """Gather what is known of one prediction.

    Raises
    ------
    KeyError
        If the run has no such prediction or model.
    """
    view, query = asked.view, asked.query
    run, name = view.run, asked.path["pred"]
    if not (name.isascii() and name.isdigit() and len(name) < 12 and int(name) < len(run.tokens)):
        raise KeyError(f"pred: the run has tokens 0 to {len(run.tokens) - 1}")
    pred, before = int(name), query.integer("ctx", 200, lo=0, hi=_MOST_BEFORE)
    model = view.model(query.text("at"))
    (shown,) = view.contexts(np.array([pred]), before=before, after=before, model=model)
    losses = run.pred(pred).losses
    data: dict[str, Any] = {
        **shown.as_dict(),
        "losses": [
            {"model": row.name, "n_params": row.n_params, "step": row.step, "seed": row.seed,
             "loss_nats": float(losses[row.name]), "chance": math.exp(-losses[row.name])}
            for row in run.models.itertuples(index=False)
        ],
        "chance": math.exp(-shown.loss_nats), "shaded_by": view.model_name(model),
        "cluster": None, "ctx": before, "at": query.text("at"),
        "before": pred - 1 if pred else None,
        "after": pred + 1 if pred + 1 < len(run.tokens) else None,
    }  # fmt: skip
    if view.has("clusters"):
        place = int(view.places[pred])
        data["cluster"] = None if place < 0 else str(view.clusters["cluster"].iat[place])
    label = view.labels_html[data["cluster"]] if data["cluster"] in view.rows else data["cluster"]
    return Shown(
        title=f"Prediction {pred}",
        data=data,
        html={"context": shown.html, "label": label},
        table=losses.rename("loss_nats").reset_index(),
    )


TOKEN = Page(name="token", path="/tokens/{pred}", show=show, needs=("losses",))
