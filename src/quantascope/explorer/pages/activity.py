"""What people wrote, latest first, each with its undo."""

from dataclasses import asdict
from typing import Any

import pandas as pd

from quantascope.explorer.pages.page import Asked, Page, Shown

__all__ = ["ACTIVITY"]

_SHOWN = ("id", "time", "author", "op", "clusters", "text", "of")


def show(asked: Asked) -> Shown:
    """Give the log of annotations, and what no cluster is near enough to."""
    view = asked.view
    log, n_bad = view.log
    lost = {one.id for one in view.lost}
    rows: list[dict[str, Any]] = [
        {name: value for name, value in asdict(one).items() if name in _SHOWN}
        | {"lost": one.id in lost, "n_preds": len(one.preds)}
        for one in reversed(log)
    ]
    table = pd.DataFrame(rows, columns=[*_SHOWN, "lost", "n_preds"])
    table["clusters"] = [" ".join(each) for each in table["clusters"]]
    return Shown(title="Annotations", data={"rows": rows, "n_unreadable_lines": n_bad}, table=table)


ACTIVITY = Page(name="activity", path="/annotations", show=show, needs=("clusters",))
