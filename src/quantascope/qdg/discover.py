"""Discovery in memory on any PyTorch module that gives one loss a sample.

Batches enter; gradients are taken sample by sample, pressed by the same sketch as those of language
models, linked, grouped, and come back as tables.

References
----------
Michaud et al. 2023, arXiv 2303.13506, section 5.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import nn
from torch.utils import _pytree as pytree

from quantascope.qdg.clusters import ClusterTables, assemble_clusters
from quantascope.qdg.config import ClustersConfig, GraphConfig
from quantascope.qdg.graph import knn_graph
from quantascope.qdg.leiden import Grouping, leiden_groupings
from quantascope.qdg.persample import LossPerSample, chosen_parameters, sample_gradients
from quantascope.qdg.sketch import GradientSketch, normalise
from quantascope.qdg.spectral import spectral_groupings

__all__ = ["Discovery", "cluster_vectors", "discover"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Discovery:
    """What was found; samples are numbered in the order of the batches."""

    sketch: NDArray[np.float16]
    """Unit vectors, axes ``(pred, dim)``."""
    norm: NDArray[np.float32]
    """Estimated norm of each gradient."""
    graph: sparse.csr_array
    """Angular similarities of neighbours."""
    groupings: list[Grouping]
    tables: ClusterTables
    parameters: tuple[str, ...]
    """Names of the differentiated parameters."""
    how: Literal["vmap", "loop"]
    """Whether samples were differentiated at once or one after the other."""

    @property
    def default(self) -> Grouping:
        """The default clustering."""
        return self.groupings[self.tables.clusterings.column("default").to_pylist().index(True)]

    @property
    def labels(self) -> NDArray[np.int64]:
        """Cluster of each sample in the default clustering, 0 the largest."""
        return self.default.labels

    @property
    def clusters(self) -> pd.DataFrame:
        """Clusters of the default clustering by falling size."""
        clusters = self.tables.clusters.to_pandas()
        chosen = clusters[clusters["clustering"] == self.default.name]
        return chosen.drop(columns="clustering").reset_index(drop=True)


def discover(
    module: nn.Module,
    batches: Iterable[Any],
    loss_per_sample: LossPerSample,
    *,
    parameters: Iterable[str] | None = None,
    dim: int = 4096,
    input_dim: int = 0,
    graph: GraphConfig | None = None,
    clusters: ClustersConfig | None = None,
    seed: int = 0,
) -> Discovery:
    """Cluster the samples that a module treats by the same means.

    Parameters
    ----------
    module
        Any module; differentiated in evaluation mode, left as it was.
    batches
        Tensors, or tuples, lists or dicts of tensors, whose first axis is the sample.
    loss_per_sample
        Called with module and batch, gives one loss a sample, shape (n_samples,).
    parameters
        Names to differentiate; None takes those of layers with weight matrices, without
        embeddings.
    dim, input_dim
        Numbers of a sketch, and width of the projection before it (0 for none).
    graph, clusters
        Settings; None for the defaults, without the spectral family.
    seed
        Seed of the sketch; that of the clustering is in its settings.

    Returns
    -------
    Discovery
        Sketches, graph, groupings with stability, tables.

    Raises
    ------
    ValueError
        If there are fewer than two samples, or the loss is not one number a sample.
    DataError
        If a gradient is not finite.
    """
    names = list(chosen_parameters(module) if parameters is None else parameters)
    shapes = [_matrix_shape(module.get_parameter(name)) for name in names]
    device = module.get_parameter(names[0]).device
    sketcher = GradientSketch(shapes, dim=dim, input_dim=input_dim, seed=seed, device=device)
    training = module.training
    module.eval()
    try:
        rows, how = _sketch_batches(module, batches, loss_per_sample, names=names, sketch=sketcher)
    finally:
        module.train(training)
    sketch, norm = normalise(rows)
    settings = clusters or ClustersConfig(spectral=False)
    similarity, groupings, tables = cluster_vectors(sketch, graph=graph, clusters=settings)
    return Discovery(
        sketch=sketch,
        norm=norm,
        graph=similarity,
        groupings=groupings,
        tables=tables,
        parameters=tuple(names),
        how=how,
    )


def cluster_vectors(
    sketch: NDArray[np.floating],
    *,
    graph: GraphConfig | None = None,
    clusters: ClustersConfig | None = None,
) -> tuple[sparse.csr_array, list[Grouping], ClusterTables]:
    """Link, group and tabulate unit vectors: gradients, or anything to hold against them.

    Parameters
    ----------
    sketch
        Unit vectors, axes ``(pred, dim)``.
    graph, clusters
        Settings; None for the defaults.

    Returns
    -------
    graph : scipy.sparse.csr_array
        Angular similarities of neighbours.
    groupings : list[Grouping]
        Leiden groupings, then spectral ones where the settings ask for them.
    tables : ClusterTables
        The same as tables; each vector counts as its own document.
    """
    graph, clusters = graph or GraphConfig(), clusters or ClustersConfig()
    similarity = knn_graph(sketch, n_neighbors=graph.n_neighbors, block=graph.block)
    groupings = leiden_groupings(
        similarity,
        resolutions=clusters.resolutions,
        n_seeds=clusters.leiden_seeds,
        n_resamples=clusters.resamples,
        resample_share=clusters.resample_share,
        seed=clusters.seed,
    )
    if clusters.spectral:
        groupings += spectral_groupings(
            sketch,
            n_clusters=clusters.n_clusters,
            n_init=clusters.n_init,
            stability_counts=clusters.stability_counts,
            seed=clusters.seed,
        )
    index = np.arange(len(sketch))
    tables = assemble_clusters(
        groupings,
        sketch=sketch,
        pred=index,
        doc=index,
        n_shuffles=clusters.null_shuffles,
        seed=clusters.seed,
    )
    return similarity, groupings, tables


def _matrix_shape(parameter: torch.Tensor) -> tuple[int, int]:
    n_out = parameter.shape[0]
    return n_out, parameter.numel() // n_out


def _sketch_batches(
    module: nn.Module,
    batches: Iterable[Any],
    loss_per_sample: LossPerSample,
    *,
    names: list[str],
    sketch: GradientSketch,
) -> tuple[NDArray[np.float32], Literal["vmap", "loop"]]:
    how: Literal["vmap", "loop"] = "vmap"
    rows: list[NDArray[np.float32]] = []

    def sketches(batch: Any) -> list[NDArray[np.float32]]:
        gradients = sample_gradients(module, batch, loss_per_sample, names=names, how=how)
        return [_compress(sketch, found) for found in gradients]

    for batch in batches:
        _check_losses(module, batch, loss_per_sample)
        try:
            rows += sketches(batch)
        except RuntimeError:  # a layer without a batching rule; Discovery.how says what was done
            if how == "loop":
                raise
            how = "loop"
            rows += sketches(batch)
    if not rows:
        raise ValueError("batches: none; at least one is needed")
    return np.concatenate(rows), how


def _compress(sketch: GradientSketch, gradients: list[torch.Tensor]) -> NDArray[np.float32]:
    """Project the input side of each gradient ``(n, n_out, ...)`` and press it into the sketch."""
    blocks = []
    for gradient, projection in zip(gradients, sketch.projections, strict=True):
        matrix = gradient.float().reshape(*gradient.shape[:2], -1)
        projected = matrix if projection is None else matrix @ projection
        blocks.append(projected.transpose(1, 2))
    return sketch.compress(blocks).cpu().numpy()


def _check_losses(module: nn.Module, batch: Any, loss_per_sample: LossPerSample) -> None:
    with torch.no_grad():
        losses = loss_per_sample(module, batch)
    expected = (len(pytree.tree_leaves(batch)[0]),)
    if losses.shape != expected:
        raise ValueError(
            f"loss_per_sample: gave shape {tuple(losses.shape)} for a batch of {expected[0]}; "
            f"allowed is {expected}, one loss a sample (reduction='none')"
        )
