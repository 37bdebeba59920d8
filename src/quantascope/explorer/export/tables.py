"""The pages' tables as files, with the members of all clusters and the contexts of the largest."""

import json
from pathlib import Path
from typing import Literal

import pandas as pd

from quantascope.core.progress import Advance
from quantascope.explorer.export.place import write
from quantascope.explorer.export.plan import Plan, menu_pages
from quantascope.explorer.export.site import Site
from quantascope.explorer.export.still import twin_of
from quantascope.explorer.files import as_csv, as_parquet
from quantascope.explorer.view import View
from quantascope.reader.run import load

__all__ = ["write_tables"]


def write_tables(
    site: Site, plan: Plan, out: Path, *, form: Literal["csv", "parquet"], advance: Advance
) -> int:
    """Write the tables into a new folder.

    Returns
    -------
    int
        Tables written.
    """
    n = 0
    for page in menu_pages():
        answer = site.find(twin_of(f"{plan.home}{page.path}", form))
        if answer is not None:
            write(out / f"{page.name}.{form}", answer.body)
            n += 1
        advance(1)
    if not plan.clusters:
        return n
    tables = {"members": _members(site), "contexts": _contexts(site, plan, advance)}
    for name, table in tables.items():
        content = as_csv(table).encode() if form == "csv" else as_parquet(table)
        write(out / f"{name}.{form}", content)
    return n + len(tables)


def _members(site: Site) -> pd.DataFrame:
    view = View(load(site.folder))
    parts = [pd.DataFrame({"cluster": name, "pred": view.groups[name].preds}) for name in view.rows]
    return pd.concat(parts, ignore_index=True)


def _contexts(site: Site, plan: Plan, advance: Advance) -> pd.DataFrame:
    rows = []
    for name in plan.clusters:
        asked, _ = plan.pages[f"{plan.home}/quanta/{name}"]
        found = json.loads(site.get(twin_of(asked, "json")).text)
        rows += [{"cluster": name, **context} for context in found["contexts"]]
        advance(1)
    return pd.DataFrame(rows)
