"""Give a run away: its pages as a folder of files or as one file, or its tables.

Enter: a run folder. Leave: what the explorer shows of it, page by page and number by number, since
the explorer itself is asked for each.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

from quantascope import __version__
from quantascope.core.progress import Advance, ignore_progress
from quantascope.explorer.export.pages import write_pages
from quantascope.explorer.export.place import check_file, check_folder, new_folder, put_file
from quantascope.explorer.export.plan import Plan, make_plan, menu_pages
from quantascope.explorer.export.single import make_single
from quantascope.explorer.export.site import Site
from quantascope.explorer.export.tables import write_tables
from quantascope.store.folder import CONFIG

__all__ = ["FORMATS", "Exported", "Format", "export_run"]

Format = Literal["folder", "single", "csv", "parquet"]
FORMATS: Final[tuple[Format, ...]] = ("folder", "single", "csv", "parquet")
_MOST_CONTEXTS: Final = 100


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What an export wrote."""

    path: Path
    format: Format
    n_written: int
    """Pages, or tables."""
    n_bytes: int
    n_clusters: int
    """Clusters shown one by one, the largest."""
    n_all_clusters: int

    def as_dict(self) -> dict[str, Any]:
        """Give plain values, for JSON."""
        return asdict(self) | {"path": str(self.path)}


def export_run(
    folder: Path,
    out: Path,
    *,
    form: Format = "folder",
    n_clusters: int = 500,
    n_contexts: int = 20,
    begin: Callable[[int], Advance] = lambda _: ignore_progress,
) -> Exported:
    """Export a run.

    Parameters
    ----------
    folder
        Run folder.
    out
        Folder, or file for "single"; replaced if an export made it, else it must not exist.
    form
        "folder" (pages as files), "single" (one HTML file), "csv" or "parquet" (tables).
    n_clusters
        Clusters that are shown one by one, the largest first; 0 takes all.
    n_contexts
        Contexts shown of each, 1 to 100.
    begin
        Called with the number of pages; gives what is called for each page done.

    Raises
    ------
    ValueError
        If `folder` is no run, `out` is something that no export made, or a number is not allowed.
    QuantascopeError
        If the run cannot be read.
    """
    _check(folder, form=form, n_clusters=n_clusters, n_contexts=n_contexts)
    (check_file if form == "single" else check_folder)(out)
    with Site(folder) as site:
        plan = make_plan(site, n_clusters=n_clusters, n_contexts=n_contexts)
        n = _write(site, plan, out, form=form, advance=begin(_n_steps(plan, form)))
    return Exported(
        path=out,
        format=form,
        n_written=n,
        n_bytes=sum(path.stat().st_size for path in [out, *out.rglob("*")] if path.is_file()),
        n_clusters=len(plan.clusters),
        n_all_clusters=plan.n_all,
    )


def _check(folder: Path, *, form: str, n_clusters: int, n_contexts: int) -> None:
    if form not in FORMATS:
        raise ValueError(f"form: {form} found; allowed are {', '.join(FORMATS)}")
    if n_clusters < 0:
        raise ValueError(f"n_clusters: {n_clusters} found; give a number, or 0 for all")
    if not 1 <= n_contexts <= _MOST_CONTEXTS:
        raise ValueError(f"n_contexts: {n_contexts} found; allowed are 1 to {_MOST_CONTEXTS}")
    if not (folder / CONFIG).is_file():
        raise ValueError(f"folder: {folder} is no run ({CONFIG} is missing); name a run folder")


def _n_steps(plan: Plan, form: Format) -> int:
    """Count what is asked for: pages, or tables and clusters."""
    if form in ("folder", "single"):
        return len(plan.pages)
    return len(menu_pages()) + len(plan.clusters)


def _write(site: Site, plan: Plan, out: Path, *, form: Format, advance: Advance) -> int:
    if form == "single":
        put_file(out, make_single(site, plan, advance=advance))
        return len(plan.pages)
    facts = {"made_by": f"quantascope {__version__}", "run": plan.run, "format": form}
    with new_folder(out, facts) as new:
        if form == "folder":
            return write_pages(site, plan, new, advance=advance)
        return write_tables(site, plan, new, form=form, advance=advance)
