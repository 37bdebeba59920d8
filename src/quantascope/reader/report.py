"""`report.html`: one offline file with what a run found; it holds no script and asks for nothing.

Enters: a finished run. Leaves: a page of tables, figures (inline images) and contexts, all text
from the corpus escaped.
"""

import base64
import io
from pathlib import Path
from typing import Any, Final

import jinja2
import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure
from numpy.typing import NDArray

from quantascope import __version__
from quantascope.core.errors import ArtefactError
from quantascope.core.units import angular_similarity
from quantascope.plots.figures import (
    figure,
    plot_loss_distribution,
    plot_loss_scaling,
    plot_rank_frequency,
    plot_similarity,
)
from quantascope.reader.conclusions import conclusions
from quantascope.reader.run import Cluster, Run, load
from quantascope.store.schema import WAY
from quantascope.store.status import stage_status

__all__ = ["REPORT", "write_report"]

REPORT: Final = "report.html"
_N_CLUSTERS: Final = 20
_N_CONTEXTS: Final = 6
_INFORMATIVE_AUC: Final = 0.6  # below it a label hardly tells members from others
_MIN_SIZE_OF_STABLE: Final = 8  # below it a cluster's stability is a matter of one or two members
_MAX_SIMILARITY_ROWS: Final = 700
_LOSS_EDGES: Final = np.linspace(0.0, 12.0, 97)
_ROWS_AT_ONCE: Final = 1 << 20


def write_report(folder: Path) -> Path:
    """Write the report of a finished run into its folder.

    Parameters
    ----------
    folder
        Run folder.

    Returns
    -------
    Path
        Of ``report.html``.

    Raises
    ------
    ArtefactError
        If a stage has not finished.
    """
    run = load(folder)
    _check_whole(run)
    path = folder / REPORT
    temporary = path.with_suffix(".tmp")
    temporary.write_text(render_report(run), encoding="utf-8")
    temporary.replace(path)
    return path


def _check_whole(run: Run) -> None:
    """Refuse to mix stages that do not belong together."""
    for kind in WAY:
        run.manifest(kind)
        status = stage_status(run.folder, kind, {})
        if status.state != "done":
            raise ArtefactError(
                f"{run.folder.root}: stage {kind!r} is {status.state} ({status.why}); "
                f"run `quantascope run {run.folder.root}` first"
            )


def render_report(run: Run) -> str:
    """Render the report of a run as one HTML page."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("quantascope.reader"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    clusters = list(run)
    sized = [cluster for cluster in clusters if cluster.size >= _MIN_SIZE_OF_STABLE]
    stable = sorted(sized, key=lambda c: (-float(c.row["stability"]), c.rank))
    return environment.get_template("report.html").render(
        run=run,
        version=__version__,
        summary=_summary(run),
        conclusions=conclusions(run),
        models=run.models.to_dict("records"),
        counts=run.table("selection", "counts").to_dict("records"),
        rejects=run.facts("corpus")["rejects"],
        clusterings=run.clusterings.to_dict("records"),
        figures=_figures(run),
        largest=[_card(cluster) for cluster in clusters[:_N_CLUSTERS]],
        stable=[_card(cluster) for cluster in stable[:_N_CLUSTERS]],
    )


def _summary(run: Run) -> dict[str, str]:
    corpus, sketch = run.facts("corpus"), run.manifest("sketch")
    config = run.manifest("corpus").config
    return {
        "text": f"{', '.join(config['source'])}: {corpus['n_documents']:,} documents, "
        f"{corpus['n_tokens']:,} tokens, cut at {corpus['max_length']:,} tokens",
        "models": ", ".join(run.models["name"]),
        "gradients": f"{sketch.facts['n_preds']:,} predictions of {sketch.facts['model']}, "
        f"{sketch.facts['n_components']:,} components each, engine {sketch.config['engine']}, "
        f"pressed into {sketch.facts['dim']:,} numbers",
        "clusters": f"{run.default_clustering}: {len(run):,} clusters",
        "seeds": ", ".join(f"{kind} {run.manifest(kind).seed}" for kind in ("selection", "sketch")),
    }


def _card(cluster: Cluster) -> dict[str, Any]:
    return {
        "cluster": cluster,
        "label": cluster.label_html(),
        "weak": not float(cluster.row["auc"]) >= _INFORMATIVE_AUC,
        "contexts": [
            {"html": pred.html(), "source": pred.source, "pred": pred.index}
            for pred in cluster.contexts(_N_CONTEXTS)
        ],
    }


def _figures(run: Run) -> dict[str, Markup]:
    return {
        "scaling": _scaling_figure(run),
        "distribution": _distribution_figure(run),
        "similarity": _similarity_figure(run),
        "ranks": _ranks_figure(run),
    }


def _scaling_figure(run: Run) -> Markup:
    fit = run.fits.loc["alpha_N"] if "alpha_N" in run.fits.index else None
    with figure() as (drawn, ax):
        plot_loss_scaling(run.models, fit=fit, ax=ax)
        return _inline_svg(drawn, "Mean loss against model size")


def _distribution_figure(run: Run) -> Markup:
    densities = [_density(run, int(model)) for model in run.models["model"]]
    with figure() as (drawn, ax):
        plot_loss_distribution(_LOSS_EDGES, densities, names=list(run.models["name"]), ax=ax)
        return _inline_svg(drawn, "Distribution of losses over predictions")


def _similarity_figure(run: Run) -> Markup:
    similarity, bounds = _similarity_by_cluster(run)
    with figure(width=6.4, height=5.2) as (drawn, ax):
        plot_similarity(similarity, bounds, ax=ax)
        return _inline_png(drawn, "Similarity matrix ordered by cluster")


def _ranks_figure(run: Run) -> Markup:
    ranks, envelope = run.table("ranks", "ranks"), run.table("ranks", "envelope")
    with figure() as (drawn, ax):
        plot_rank_frequency(ranks, envelope, fit=run.fits.loc["envelope_slope"], ax=ax)
        return _inline_svg(drawn, "Cluster sizes by rank, with their envelope")


def _density(run: Run, model: int) -> NDArray[np.float64]:
    counts = np.zeros(len(_LOSS_EDGES) - 1)
    n = 0
    for lo in range(0, run.losses.shape[0], _ROWS_AT_ONCE):
        values = np.asarray(run.losses[lo : lo + _ROWS_AT_ONCE, model])
        values = values[~np.isnan(values)]
        n += len(values)
        counts += np.histogram(values, _LOSS_EDGES)[0]
    return counts / (n * np.diff(_LOSS_EDGES))


def _similarity_by_cluster(run: Run) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Take whole clusters from the largest down, thinned evenly to a legible number of rows."""
    row_of = pd.Series(np.arange(len(run.selection)), index=run.selection["pred"])
    clusters = list(run)[:_N_CLUSTERS]
    total = sum(cluster.size for cluster in clusters)
    share = min(1.0, _MAX_SIMILARITY_ROWS / total)
    groups = [
        row_of[cluster.preds[: max(1, int(cluster.size * share))]].to_numpy()
        for cluster in clusters
    ]
    rows = np.concatenate(groups)
    by_row = np.argsort(rows)
    sketch = np.empty((len(rows), run.facts("sketch")["dim"]), dtype=np.float32)
    sketch[by_row] = run.array("sketch", "sketch.zarr").get_orthogonal_selection(rows[by_row])
    bounds = np.cumsum([0] + [len(group) for group in groups])
    return angular_similarity(sketch @ sketch.T), bounds


def _inline_svg(drawn: Figure, caption: str) -> Markup:
    buffer = io.BytesIO()
    drawn.savefig(buffer, format="svg", metadata={"Date": None})
    return _image("image/svg+xml", buffer, caption)


def _inline_png(drawn: Figure, caption: str) -> Markup:
    buffer = io.BytesIO()
    drawn.savefig(buffer, format="png", dpi=130)
    return _image("image/png", buffer, caption)


def _image(kind: str, buffer: io.BytesIO, caption: str) -> Markup:
    data = base64.b64encode(buffer.getvalue()).decode()
    return Markup('<img src="data:{};base64,{}" alt="{}">').format(kind, data, caption)
