"""What a notebook shows of a run, a cluster, a prediction, a fit: static HTML, no script.

Enter: plain values and text already rendered by `quantascope.reader.tokens`. Leaves: markup in
which all else is escaped. It stays readable where styles are stripped.
"""

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from markupsafe import Markup

if TYPE_CHECKING:
    from quantascope.reader.run import Cluster, Fit, Pred, Run

__all__ = ["cluster_html", "fit_html", "pred_html", "run_html"]

_LARGEST: Final = 20
_CONTEXTS: Final = 8
_MOST_MODELS: Final = 16
_PRE: Final = Markup("<pre style='white-space:pre-wrap;overflow-wrap:anywhere'>{}</pre>")

Cell = str | int | Markup


def run_html(run: "Run") -> Markup:
    """Show what a run holds: its text, its models, its exponents, its largest clusters."""
    done = {kind for kind in ("corpus", "losses", "clusters", "fits") if run.has(kind)}
    parts = [Markup("<b>{}</b>").format(run.name)]
    if "corpus" in done:
        facts = run.facts("corpus")
        counts = (facts["n_documents"], facts["n_tokens"])
        parts.append(Markup(": {:,} documents, {:,} tokens").format(*counts))
    if "losses" in done:
        parts.append(Markup(", {:,} models").format(len(run.models)))
    if "fits" in done:
        parts.append(_table(_FIT_HEAD, (_fit_row(run.fit(name)) for name in run.fits.index)))
    if "clusters" in done:
        text = "<p>{:,} clusters of {:,} predictions, the largest:</p>"
        parts.append(Markup(text).format(len(run), len(run.members)))
        parts.append(_table(_CLUSTER_HEAD, (_cluster_row(run[i + 1]) for i in _first(run))))
    return Markup("").join(parts)


def _first(run: "Run") -> range:
    return range(min(len(run), _LARGEST))


_CLUSTER_HEAD: Final = ("rank", "id", "size", "label", "AUC", "stability")


def _cluster_row(cluster: "Cluster") -> tuple[Cell, ...]:
    auc, stability = _number(cluster.row["auc"]), _number(cluster.row["stability"])
    return cluster.rank, cluster.id, cluster.size, cluster.label_html(), auc, stability


def cluster_html(cluster: "Cluster") -> Markup:
    """Show a cluster: how sure it is, and some of its predictions."""
    row = cluster.row
    head = Markup(
        "<b>{}</b>, rank {}: {}<p>{:,} predictions in {:,} documents; AUC of the label {}, "
        "stability {}, mean similarity {} ({} by chance)</p>"
    ).format(
        cluster.id, cluster.rank, cluster.label_html(), cluster.size, int(row["n_documents"]),
        *(_number(row[k]) for k in ("auc", "stability", "mean_similarity", "null_similarity")),
    )  # fmt: skip
    shown = (_PRE.format(pred.html()) for pred in cluster.contexts(_CONTEXTS))
    return head + Markup("").join(shown)


def pred_html(pred: "Pred") -> Markup:
    """Show a prediction: where it stands, its context, its loss under the models."""
    head = Markup("<b>{}</b>, {}, position {}").format(pred.index, pred.source, pred.pos)
    losses = pred.losses
    rows = [(str(name), _number(loss)) for name, loss in losses.iloc[-_MOST_MODELS:].items()]
    left_out = len(losses) - len(rows)
    note = f"loss [nat], {left_out:,} smaller models left out" if left_out else "loss [nat]"
    return head + _PRE.format(pred.html()) + _table(("model", note), rows)


def fit_html(fit: "Fit") -> Markup:
    """Show a fitted exponent with its interval, its range, and what is wrong with it."""
    return _table(_FIT_HEAD, [_fit_row(fit)])


_FIT_HEAD: Final = ("fit", "estimate", "95 % interval", "range", "points", "method", "note")


def _fit_row(fit: "Fit") -> tuple[Cell, ...]:
    known = [] if fit.identified else ["not identified"]
    known += [] if fit.calibrated else ["not calibrated"]
    ends = f"{_number(fit.lo)} to {_number(fit.hi)}"
    reach = f"{_number(fit.range_lo)} to {_number(fit.range_hi)}"
    note = "; ".join([*known, *([fit.reason] if fit.reason else [])])
    return fit.name, _number(fit.estimate), ends, reach, fit.n_points, fit.method, note


def _table(head: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Markup:
    top = Markup("").join(Markup("<th>{}</th>").format(name) for name in head)
    body = Markup("").join(
        Markup("<tr>{}</tr>").format(
            Markup("").join(Markup("<td>{}</td>").format(cell) for cell in row)
        )
        for row in rows
    )
    return Markup("<table><tr>{}</tr>{}</table>").format(top, body)


def _number(value: float) -> str:
    if math.isnan(value):
        return "–"
    return f"{value:.3g}" if math.isfinite(value) else ("∞" if value > 0 else "−∞")
