"""The stage functions by artefact kind; the order and the parents stand in the store's schema."""

from collections.abc import Callable
from typing import Any, Final

from quantascope.pipeline.context import StageContext
from quantascope.pipeline.curves import make_curves
from quantascope.pipeline.discovery import (
    make_clusters,
    make_fits,
    make_graph,
    make_labels,
    make_ranks,
)
from quantascope.pipeline.losses import make_losses
from quantascope.pipeline.probes import make_probes
from quantascope.pipeline.sketching import make_sketch
from quantascope.pipeline.text import make_corpus, make_selection

__all__ = ["STAGES"]

STAGES: Final[dict[str, Callable[[StageContext], dict[str, Any]]]] = {
    "corpus": make_corpus,
    "losses": make_losses,
    "selection": make_selection,
    "curves": make_curves,
    "sketch": make_sketch,
    "graph": make_graph,
    "clusters": make_clusters,
    "ranks": make_ranks,
    "fits": make_fits,
    "labels": make_labels,
    "probes": make_probes,
}
