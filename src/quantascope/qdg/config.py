"""Configs of the discovery stages; no torch here, so that status needs none."""

from dataclasses import dataclass
from typing import Any, Final

__all__ = [
    "METHODS",
    "ClustersConfig",
    "GraphConfig",
    "LabelsConfig",
    "RanksConfig",
    "SketchConfig",
]


@dataclass(frozen=True, kw_only=True)
class SketchConfig:
    """Which gradients, from which engine, pressed into how many numbers."""

    model: str = ""
    """Name of the model whose gradients are taken; empty means the selection's model."""
    vectors: str = ""
    """File of own vectors to compare instead of gradients: ``.npy``, axes ``(pred, number)``, a row
    for each row of ``selection/preds.parquet``."""
    engine: str = "batched"
    """``batched``, ``reference``, or ``own_position``, an approximation that is measured."""
    accept_approximation: bool = False
    """Go on where an approximation disagrees with the exact engine on a sample (r below 0.9)."""
    layers: str = "lower"
    """``lower`` takes the first half of the blocks, ``all`` every one."""
    whiten: bool = True
    """Whiten inputs and backpropagated signals of every layer before gradients are compared."""
    damping: float = 0.01
    """Added to the eigenvalues of both moments, as a share of their mean."""
    moment_preds: int = 512
    """Predictions from which the moments are taken."""
    dim: int = 8192
    """Numbers a prediction."""
    input_dim: int = 128
    """Width of the input-side projection of each layer wider than this; 0 for none."""
    output_dim: int = 0
    """The same for the output side."""
    biases: bool = True
    """Include biases of the blocks' linear layers, as the paper does."""
    norms: bool = False
    """Include normalisation weights."""
    embeddings: bool = False
    """Include input embedding and unembedding."""
    targets_per_pass: int = 16
    """Cotangents that share one backward pass."""
    dtype: str = "float32"
    device: str = "cpu"
    shard_preds: int = 256
    """Predictions computed between two points of resumption."""
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class GraphConfig:
    """Neighbours of each prediction by angular similarity."""

    n_neighbors: int = 15
    sign_free: bool = True
    """Compare gradients by the size of their cosine, whatever its sign."""
    block: int = 2048
    """Rows of one block of the exact product."""


@dataclass(frozen=True, kw_only=True)
class ClustersConfig:
    """Merged groups, Leiden over resolutions, and the paper's spectral family."""

    merge: bool = True
    """Merge fine groups by the overlap of their gradients' subspaces; that is then the default."""
    fine_size: float = 75.0
    """Fine groups are Leiden's at a resolution of the number of predictions over this, or 8."""
    resolutions: tuple[float, ...] = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
    leiden_seeds: int = 3
    resamples: int = 3
    """Reruns on a random share of the predictions, for stability."""
    resample_share: float = 0.8
    spectral: bool = True
    n_clusters: tuple[int, ...] = ()
    """Cluster counts of the spectral family; empty takes the paper's list up to M/10."""
    n_init: int = 1
    """K-means restarts; the paper used 30."""
    stability_counts: int = 5
    """How many of the counts get three seeds, for stability."""
    null_shuffles: int = 20
    """Shuffles behind the coherence test of each cluster."""
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class RanksConfig:
    """Rank-frequency envelope and its slope."""

    rank_lo: int = 0
    """First rank of the fit; 0 scales the paper's 101 of 10,000 predictions."""
    rank_hi: int = 0
    """Last rank of the fit; 0 scales the paper's 1,000 of 10,000 predictions."""
    n_boot: int = 400
    calibrate: bool = False
    """Plant worlds for this run where the table of calibrated slopes does not serve: minutes."""
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class LabelsConfig:
    """Labels from counts: next token, last token, last n-grams."""

    held_out_share: float = 0.3
    """Share of predictions on which a label's AUC is measured."""
    n_candidates: int = 5
    seed: int = 0


METHODS: Final[dict[str, dict[str, Any]]] = {
    "default": {},
    "published": {
        "sketch.layers": "all",
        "sketch.whiten": False,
        "sketch.dim": 4096,
        "sketch.input_dim": 32,
        "graph.sign_free": False,
        "clusters.merge": False,
    },
}
"""Named methods, as settings that differ from the defaults."""
