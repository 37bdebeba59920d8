"""Discovery in memory on any PyTorch module that gives one loss a sample.

Batches enter; gradients are taken sample by sample, pressed by the same sketch as those of language
models, linked, grouped, and come back as tables.

References
----------
Michaud et al. 2023, arXiv 2303.13506, section 5.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import nn

from quantascope.qdg.clusters import ClusterTables, assemble_clusters
from quantascope.qdg.config import METHODS, ClustersConfig, GraphConfig, SketchConfig
from quantascope.qdg.factors import map_outputs
from quantascope.qdg.graph import knn_graph
from quantascope.qdg.leiden import Grouping, leiden_groupings
from quantascope.qdg.merging import merged_grouping
from quantascope.qdg.module_gradients import (
    How,
    ModuleGradients,
    as_matrices,
    in_double,
    n_samples,
)
from quantascope.qdg.persample import LossPerSample, chosen_parameters
from quantascope.qdg.sketch import GradientSketch, normalise
from quantascope.qdg.spectral import spectral_groupings
from quantascope.qdg.whitening import GradientMoments, Whitening

__all__ = ["Discovery", "Method", "cluster_vectors", "discover", "method_settings"]

Method = Literal["default", "published"]

_WHOLE: Final = 65_536
_ALL_WHOLE: Final = 2**26
"""Numbers of one gradient, and of all together, that are kept whole: 1 GB at the peak."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Discovery:
    """What was found; samples are numbered in the order of the batches."""

    sketch: NDArray[np.float16]
    """Unit vectors, axes ``(pred, dim)``."""
    exact: bool
    """Whether they are the gradients themselves, and no sketch of them."""
    norm: NDArray[np.float32]
    """Estimated norm of each gradient."""
    graph: sparse.csr_array
    """Angular similarities of neighbours."""
    groupings: list[Grouping]
    tables: ClusterTables
    parameters: tuple[str, ...]
    """Names of the differentiated parameters."""
    how: How
    """Whether samples were differentiated at once or one after the other."""

    @property
    def n_zero(self) -> int:
        """Samples without gradient, each a group of its own."""
        return int((np.count_nonzero(self.sketch, axis=1) == 0).sum())

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
    method: Method = "default",
    parameters: Iterable[str] | None = None,
    dim: int | None = None,
    input_dim: int = 0,
    graph: GraphConfig | None = None,
    clusters: ClustersConfig | None = None,
    seed: int = 0,
) -> Discovery:
    """Cluster the samples that a module treats by the same means.

    Parameters
    ----------
    module
        Any module; differentiated in evaluation mode, left as it was. One of less than 2 million
        parameters is copied in double precision, where the loss allows it: the gradient of a sample
        whose loss rounds to 0 vanishes in single precision.
    batches
        Tensors, or tuples, lists or dicts of tensors, whose first axis is the sample.
    loss_per_sample
        Called with module and batch, gives one loss a sample, shape (n_samples,).
    method
        ``default`` whitens gradients, ignores their sign and merges groups by the overlap of their
        subspaces; ``published`` is the plain cosine of all gradients (see `METHODS`).
    parameters
        Names to differentiate; None takes those of layers with weight matrices, without
        embeddings: of the first half of the layers, or of all under ``published``.
    dim, input_dim
        Numbers of a sketch, and width of the projection before it (0 for none). None leaves
        gradients whole where all together are no more than 2^26 numbers and one no more than
        65,536, and there is no projection; else it is the method's.
    graph, clusters
        Settings; None for the method's, without the spectral family.
    seed
        Seed of the sketch; that of the clustering is in its settings.

    Returns
    -------
    Discovery
        Sketches, graph, groupings with stability, tables.

    Raises
    ------
    ValueError
        If there are fewer than two samples, a batch is empty, a parameter is unknown or none is
        named, or the loss is not one number a sample.
    DataError
        If a gradient is not finite.
    """
    config, links, settings = method_settings(method)
    chosen = chosen_parameters(module, layers=config.layers) if parameters is None else parameters
    names, training = _known(module, chosen), module.training
    module.eval()
    try:
        source = ModuleGradients(*in_double(module, list(batches), loss_per_sample), names)
        whitening = _measure(source, config) if config.whiten else None
        sketcher = GradientSketch(
            source.shapes,
            dim=_wide_enough(source, config.dim, input_dim) if dim is None else dim,
            input_dim=input_dim,
            seed=seed,
            device=module.get_parameter(names[0]).device,
            whitening=whitening,
        )
        rows, lengths = zip(*(_compress(sketcher, found) for found in source.all()), strict=True)
    finally:
        module.train(training)
    sketch, stretched = normalise(np.concatenate(rows))
    norm = (stretched * np.concatenate(lengths)).astype(np.float32)
    del rows, stretched
    similarity, groupings, tables = cluster_vectors(
        sketch, graph=graph or links, clusters=clusters or settings, exact=sketcher.exact
    )
    return Discovery(
        sketch=sketch,
        exact=sketcher.exact,
        norm=norm,
        graph=similarity,
        groupings=groupings,
        tables=tables,
        parameters=tuple(names),
        how=source.how,
    )


def cluster_vectors(
    sketch: NDArray[np.floating],
    *,
    graph: GraphConfig | None = None,
    clusters: ClustersConfig | None = None,
    exact: bool,
) -> tuple[sparse.csr_array, list[Grouping], ClusterTables]:
    """Link, group and tabulate unit vectors: gradients, or anything to hold against them.

    Parameters
    ----------
    sketch
        Unit vectors, axes ``(pred, dim)``.
    graph, clusters
        Settings; None for the defaults.
    exact
        Whether the vectors are no sketch, see `merged_grouping`.

    Returns
    -------
    graph : scipy.sparse.csr_array
        Angular similarities of neighbours.
    groupings : list[Grouping]
        Leiden groupings, then the merged one and spectral ones where the settings ask for them.
    tables : ClusterTables
        The same as tables; each vector counts as its own document.
    """
    graph, clusters = graph or GraphConfig(), clusters or ClustersConfig()
    similarity = knn_graph(
        sketch, n_neighbors=graph.n_neighbors, sign_free=graph.sign_free, block=graph.block
    )
    groupings = leiden_groupings(
        similarity,
        resolutions=clusters.resolutions,
        n_seeds=clusters.leiden_seeds,
        n_resamples=clusters.resamples,
        resample_share=clusters.resample_share,
        seed=clusters.seed,
    )
    if clusters.merge:
        groupings.append(merged_grouping(similarity, sketch, config=clusters, exact=exact))
    if clusters.spectral:
        groupings += spectral_groupings(
            sketch,
            n_clusters=clusters.n_clusters,
            n_init=clusters.n_init,
            stability_counts=clusters.stability_counts,
            sign_free=graph.sign_free,
            seed=clusters.seed,
        )
    index = np.arange(len(sketch))
    tables = assemble_clusters(
        groupings,
        sketch=sketch,
        pred=index,
        doc=index,
        sign_free=graph.sign_free,
        n_shuffles=clusters.null_shuffles,
        seed=clusters.seed,
    )
    return similarity, groupings, tables


def method_settings(method: str) -> tuple[SketchConfig, GraphConfig, ClustersConfig]:
    """Give the settings of a named method, without the spectral family.

    Raises
    ------
    ValueError
        If the name is unknown.
    """
    if method not in METHODS:
        raise ValueError(f"method: {method!r} unknown; allowed are {', '.join(METHODS)}")
    tables: dict[str, dict[str, Any]] = {"sketch": {}, "graph": {}, "clusters": {"spectral": False}}
    for address, value in METHODS[method].items():
        table, _, key = address.partition(".")
        tables[table][key] = value
    return (
        SketchConfig(**tables["sketch"]),
        GraphConfig(**tables["graph"]),
        ClustersConfig(**tables["clusters"]),
    )


def _wide_enough(source: ModuleGradients, dim: int, input_dim: int) -> int:
    """Give the width that keeps gradients whole, or the sketch's where they are too large."""
    if input_dim:
        return dim
    whole = sum(n_out * n_in for n_out, n_in in source.shapes)
    samples = sum(n_samples(batch) for batch in source.batches)
    return whole if whole <= _WHOLE and samples * whole <= _ALL_WHOLE else dim


def _measure(source: ModuleGradients, config: SketchConfig) -> Whitening:
    """Take moments of samples evenly spread over the batches."""
    total = sum(n_samples(batch) for batch in source.batches)
    moments = GradientMoments(source.shapes)
    for gradients in source.all(max(1, total // config.moment_preds)):
        moments.add([as_matrices(gradient).transpose(1, 2) for gradient in gradients])
    return moments.whitening(damping=config.damping)


def _compress(
    sketch: GradientSketch, gradients: list[torch.Tensor]
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Press gradients ``(n, n_out, ...)`` of length 1, input side first; give their lengths too."""
    length = torch.stack([g.double().flatten(1).norm(dim=1) for g in gradients]).norm(dim=0)
    scale = torch.where(length > 0, length, torch.ones_like(length))[:, None, None]
    blocks = []
    for gradient, projection in zip(gradients, sketch.projections, strict=True):
        matrix = (as_matrices(gradient) / scale).float()
        projected = matrix if projection is None else matrix @ projection
        blocks.append(projected.transpose(1, 2))
    mapped = map_outputs(blocks, sketch.outputs)
    return sketch.compress(mapped).cpu().numpy(), length.cpu().numpy()


def _known(module: nn.Module, chosen: Iterable[str]) -> list[str]:
    names, owned = list(chosen), dict(module.named_parameters())
    unknown = [name for name in names if name not in owned]
    if unknown or not names:
        raise ValueError(
            f"parameters: {unknown[0] if unknown else 'none'} found; allowed are one or more of "
            f"{', '.join(list(owned)[:8])}{', ...' if len(owned) > 8 else ''}"
        )
    return names
