"""Discovery in memory on any PyTorch module that gives one loss a sample.

Batches enter; gradients are taken sample by sample, pressed by the same sketch as those of language
models, linked, grouped, and come back as tables.

References
----------
Michaud et al. 2023, arXiv 2303.13506, section 5.
"""

import copy
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import nn
from torch.utils import _pytree as pytree

from quantascope.qdg.clusters import ClusterTables, assemble_clusters
from quantascope.qdg.config import METHODS, ClustersConfig, GraphConfig, SketchConfig
from quantascope.qdg.graph import knn_graph
from quantascope.qdg.leiden import Grouping, leiden_groupings
from quantascope.qdg.merging import merged_grouping
from quantascope.qdg.persample import LossPerSample, chosen_parameters, sample_gradients
from quantascope.qdg.sketch import GradientSketch, normalise
from quantascope.qdg.spectral import spectral_groupings
from quantascope.qdg.whitening import GradientMoments, Whitening

__all__ = ["Discovery", "Method", "cluster_vectors", "discover", "method_settings"]

Method = Literal["default", "published"]
How = Literal["vmap", "loop"]

_SMALL: Final = 2_000_000
"""Parameters below which a module is differentiated in double precision."""
_WHOLE: Final = 65_536
_ALL_WHOLE: Final = 2**28
"""Numbers of one gradient, and of all together, that are kept whole: 1 GB in single precision."""


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
        gradients whole where all together are no more than 2^28 numbers and one no more than
        65,536, else it is the method's.
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
        source = _Gradients(*_precise(module, list(batches), loss_per_sample), names)
        whitening = _measure(source, config) if config.whiten else None
        sketcher = GradientSketch(
            source.shapes,
            dim=_wide_enough(source, config.dim) if dim is None else dim,
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
    exact: bool = True,
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


@dataclass
class _Gradients:
    """Per-sample gradients of some parameters, batch by batch, as often as asked."""

    module: nn.Module
    batches: list[Any]
    loss_per_sample: LossPerSample
    names: list[str]
    how: How = "vmap"
    """Becomes ``loop`` at the first layer without a batching rule, and stays."""

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Shape (n_out, n_in) of each gradient as a matrix."""
        parameters = [self.module.get_parameter(name) for name in self.names]
        return [(p.shape[0], p.numel() // p.shape[0]) for p in parameters]

    def all(self, step: int = 1) -> Iterator[list[torch.Tensor]]:
        """Give the gradients of every `step`-th sample, in order, some at a time."""
        seen = 0
        for whole in self.batches:
            _check_losses(self.module, whole, self.loss_per_sample)
            begin, n = -seen % step, _n_samples(whole)
            seen += n
            if begin >= n:
                continue
            batch = whole if step == 1 else _map(lambda leaf, b=begin: leaf[b::step], whole)
            found = self._of(batch)
            try:
                first = next(found)
            except RuntimeError:  # a layer without a batching rule
                if self.how == "loop":
                    raise
                self.how = "loop"
                found = self._of(batch)
                first = next(found)
            yield first
            yield from found

    def _of(self, batch: Any) -> Iterator[list[torch.Tensor]]:
        return sample_gradients(
            self.module, batch, self.loss_per_sample, names=self.names, how=self.how
        )


def _wide_enough(source: _Gradients, dim: int) -> int:
    """Give the width that keeps gradients whole, or the sketch's where they are too large."""
    whole = sum(n_out * n_in for n_out, n_in in source.shapes)
    n_samples = sum(_n_samples(batch) for batch in source.batches)
    return whole if whole <= _WHOLE and n_samples * whole <= _ALL_WHOLE else dim


def _measure(source: _Gradients, config: SketchConfig) -> Whitening:
    """Take moments of samples evenly spread over the batches."""
    total = sum(_n_samples(batch) for batch in source.batches)
    moments = GradientMoments(source.shapes)
    for gradients in source.all(max(1, total // config.moment_preds)):
        moments.add([_matrix(gradient).transpose(1, 2) for gradient in gradients])
    return moments.whitening(damping=config.damping)


def _matrix(gradient: torch.Tensor) -> torch.Tensor:
    return gradient.reshape(*gradient.shape[:2], -1)


def _compress(
    sketch: GradientSketch, gradients: list[torch.Tensor]
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Press gradients ``(n, n_out, ...)`` of length 1, input side first; give their lengths too."""
    length = torch.stack([g.double().flatten(1).norm(dim=1) for g in gradients]).norm(dim=0)
    scale = torch.where(length > 0, length, torch.ones_like(length))[:, None, None]
    blocks = []
    for gradient, projection in zip(gradients, sketch.projections, strict=True):
        matrix = (_matrix(gradient) / scale).float()
        projected = matrix if projection is None else matrix @ projection
        blocks.append(projected.transpose(1, 2))
    return sketch.compress(blocks).cpu().numpy(), length.cpu().numpy()


def _known(module: nn.Module, chosen: Iterable[str]) -> list[str]:
    names, owned = list(chosen), dict(module.named_parameters())
    unknown = [name for name in names if name not in owned]
    if unknown or not names:
        raise ValueError(
            f"parameters: {unknown[0] if unknown else 'none'} found; allowed are one or more of "
            f"{', '.join(list(owned)[:8])}{', ...' if len(owned) > 8 else ''}"
        )
    return names


def _precise(
    module: nn.Module, batches: list[Any], loss_per_sample: LossPerSample
) -> tuple[nn.Module, list[Any], LossPerSample]:
    """Take a small module in double precision, unless its loss mixes precisions."""
    empty = [place for place, batch in enumerate(batches) if not _n_samples(batch)]
    if empty or not batches:
        found = f"batch {empty[0]} is empty" if empty else "none"
        raise ValueError(f"batches: {found}; at least one is needed, each of one sample or more")
    if sum(value.numel() for value in module.parameters()) >= _SMALL:
        return module, batches, loss_per_sample
    finer = [_map(_doubled, batch) for batch in batches]
    try:
        double = copy.deepcopy(module).double()
        with torch.no_grad():
            loss_per_sample(double, _map(lambda leaf: leaf[:1], finer[0]))
    except (RuntimeError, TypeError):  # weights of the loss in float32, a device without doubles
        return module, batches, loss_per_sample
    return double, finer, loss_per_sample


def _doubled(leaf: torch.Tensor) -> torch.Tensor:
    return leaf.double() if leaf.is_floating_point() else leaf


def _map(change: Callable[..., Any], batch: Any) -> Any:
    return pytree.tree_map(change, batch)


def _n_samples(batch: Any) -> int:
    leaves = pytree.tree_leaves(batch)
    return len(leaves[0]) if leaves else 0


def _check_losses(module: nn.Module, batch: Any, loss_per_sample: LossPerSample) -> None:
    with torch.no_grad():
        losses = loss_per_sample(module, batch)
    expected = (_n_samples(batch),)
    if losses.shape != expected:
        raise ValueError(
            f"loss_per_sample: gave shape {tuple(losses.shape)} for a batch of {expected[0]}; "
            f"allowed is {expected}, one loss a sample (reduction='none')"
        )
