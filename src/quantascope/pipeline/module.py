"""Discovery on any PyTorch module, in memory or as a run that the reader and the report open.

Enters: a module, batches, a loss for each sample. Leaves: a `Discovery`, and with `run` a run
folder in which each sample is a document: its rendered text, then its target as the one predicted
token.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from torch import nn

from quantascope.core.rng import derive_seed, hash_order
from quantascope.lm.architecture import weights_sha256
from quantascope.lm.fingerprint import document_hash
from quantascope.pipeline.config import RunConfig, load_config, stage_config
from quantascope.pipeline.runner import run_stages, write_config
from quantascope.pipeline.samples import Render, Samples, check_truth_columns, truth_table
from quantascope.qdg.config import ClustersConfig, GraphConfig, SketchConfig
from quantascope.qdg.discover import Discovery, Method, method_settings
from quantascope.qdg.discover import discover as discover_in_memory
from quantascope.qdg.persample import LossPerSample
from quantascope.store.arrays import write_array, write_npy
from quantascope.store.folder import RunFolder
from quantascope.store.tables import write_table
from quantascope.store.truth import TRUTH_FILE, write_truth

__all__ = ["discover"]

_MODULE: Final = "module"
_STAGES_BEHIND: Final = ("curves", "graph", "clusters", "ranks", "fits", "labels")


def discover(
    module: nn.Module,
    batches: Iterable[Any],
    loss_per_sample: LossPerSample,
    *,
    run: str | Path | None = None,
    render: Render | None = None,
    truth: Mapping[str, Sequence[str]] | None = None,
    name: str = "module",
    method: Method = "default",
    dim: int | None = None,
    graph: GraphConfig | None = None,
    clusters: ClustersConfig | None = None,
    seed: int = 0,
) -> Discovery:
    """Cluster the samples that a module treats by the same means.

    Parameters
    ----------
    module
        Any PyTorch module; differentiated in evaluation mode, left as it was.
    batches
        Tensors, or tuples, lists or dicts of tensors, whose first axis is the sample.
    loss_per_sample
        Called with module and batch, gives one loss a sample [nat], shape (n_samples,).
    run
        Folder to write as a run, which `quantascope report` and `quantascope.load` open; None
        keeps the result in memory.
    render
        Gives for a batch the text of each sample and its target; None numbers the samples.
    truth
        What is known of each sample, in the order of the batches: ``skill``, the name of the rule
        behind it, and where there are cases of it ``sub_skill``. Written beside the run, so that
        `quantascope grade` can hold its clusters against it; needs `run`. Skills ``noise`` and
        ``syntax`` are not graded.
    name
        Name of the module in the run.
    method
        ``default``, or ``published`` for the plain cosine of all gradients.
    dim
        Numbers of a sketch; None leaves small gradients whole (`quantascope.qdg.discover`).
    graph, clusters
        Settings; None for the method's, without the spectral family.
    seed
        Seed of the sketch; that of the clustering is in its settings.

    Returns
    -------
    Discovery
        Sketches, graph, groupings with stability, tables; samples in the order of the batches.

    Raises
    ------
    ValueError
        If there are fewer than two samples, the loss is not one number a sample or, with `run`,
        below 0, `render` does
        not give one text a sample, or `truth` not one name a sample.
    DataError
        If a gradient is not finite.

    References
    ----------
    arXiv:2303.13506, section 5.
    """
    if run is not None:
        _check_folder(RunFolder(Path(run)))
    check_truth_columns(truth, run=run)
    sketch, links, settings = method_settings(method)
    graph, clusters = graph or links, clusters or settings
    batches = list(batches) if run is not None else batches
    found = discover_in_memory(
        module,
        batches,
        loss_per_sample,
        method=method,
        dim=dim,
        graph=graph,
        clusters=clusters,
        seed=seed,
    )
    if run is not None:
        samples = Samples.of(module, batches, loss_per_sample, render=render)
        _check_losses(samples)
        folder = RunFolder(Path(run))
        known = None if truth is None else truth_table(samples.preds, truth)
        sketch = replace(sketch, input_dim=0, seed=seed, dim=found.sketch.shape[1])
        config = _config(found, sketch=sketch, graph=graph, clusters=clusters)
        _write_run(folder, config, module, samples=samples, found=found, name=name, truth=known)
        run_stages(folder, config, kinds=_STAGES_BEHIND)
    return found


def _check_losses(samples: Samples) -> None:
    least = float(samples.losses.min(initial=0.0))
    if least < 0:
        raise ValueError(
            f"loss_per_sample: a loss of {least:.3g} found; a run holds losses from 0 on [nat]; "
            "give run=None to keep the result in memory"
        )


def _check_folder(run: RunFolder) -> None:
    if run.config_path.is_file() and load_config(run.config_path).models.suite != _MODULE:
        raise ValueError(f"run: {run.root} holds a run of language models; give another folder")


def _config(
    found: Discovery, *, sketch: SketchConfig, graph: GraphConfig, clusters: ClustersConfig
) -> RunConfig:
    base = RunConfig()
    n = len(found.sketch)
    return replace(
        base,
        models=replace(base.models, suite=_MODULE),
        corpus=replace(base.corpus, source=(_MODULE,)),
        selection=replace(base.selection, n=n, copied_ngram=0, repeated_context=0),
        sketch=replace(sketch, engine=found.how),
        graph=graph,
        clusters=clusters,
    )


def _write_run(
    run: RunFolder,
    config: RunConfig,
    module: nn.Module,
    *,
    samples: Samples,
    found: Discovery,
    name: str,
    truth: pa.Table | None,
) -> None:
    """Write the four artefacts that the later stages rest on."""
    run.root.mkdir(parents=True, exist_ok=True)
    with run.lock():
        run.recover()
        write_config(run, config)
        _write_corpus(run, config, samples, truth=truth)
        _write_losses(run, config, samples, module=module, name=name)
        order = _write_selection(run, config, samples, name=name)
        work = run.open_workspace("sketch", stage_config(config, "sketch"))
        write_array(work.path, "sketch", name="sketch.zarr", values=found.sketch[order])
        write_array(work.path, "sketch", name="norms.zarr", values=found.norm[order])
        n_components = sum(module.get_parameter(p).numel() for p in found.parameters)
        facts = {"model": name, "n_preds": len(order), "dim": config.sketch.dim}
        facts |= {"n_components": n_components, "exact": found.exact, "fidelity": None}
        work.finish(facts)


def _write_corpus(
    run: RunFolder, config: RunConfig, samples: Samples, *, truth: pa.Table | None
) -> None:
    work = run.open_workspace("corpus", stage_config(config, "corpus"))
    n = len(samples.texts)
    lengths = np.diff(samples.offsets)
    docs = {
        "doc": np.arange(n),
        "source": [_MODULE] * n,
        "domain": [_MODULE] * n,
        "source_offset": np.arange(n),
        "n_tokens": lengths,
        "document_hash": np.array([document_hash(t) for t in samples.texts], dtype=np.uint64),
    }
    n_words = len(samples.vocabulary)
    vocab = {"id": np.arange(n_words), "bytes": samples.vocabulary, "special": [False] * n_words}
    write_npy(work.path, "corpus", name="tokens.npy", values=samples.tokens)
    write_npy(work.path, "corpus", name="offsets.npy", values=samples.offsets)
    write_table(work.path, "corpus", name="docs.parquet", table=pa.table(docs))
    write_table(work.path, "corpus", name="vocab.parquet", table=pa.table(vocab))
    work.finish(
        {
            "n_tokens": len(samples.tokens),
            "n_documents": n,
            "n_predictions": n,
            "max_length": int(lengths.max()),
            "bos_id": None,
            "rejects": {},
            "seen": None,
        }
        | _keep_truth(run, truth)
    )


def _keep_truth(run: RunFolder, truth: pa.Table | None) -> dict[str, str]:
    """Write the truth if there is one; drop what an earlier run knew of other samples."""
    if truth is None:
        (run.root / TRUTH_FILE).unlink(missing_ok=True)
        return {}
    return {"truth_sha256": write_truth(run.root, truth)}


def _write_losses(
    run: RunFolder, config: RunConfig, samples: Samples, *, module: nn.Module, name: str
) -> None:
    work = run.open_workspace("losses", stage_config(config, "losses"))
    losses = np.full((len(samples.tokens), 1), np.nan, dtype=np.float32)
    losses[samples.preds, 0] = samples.losses
    embeddings = [part for part in module.modules() if isinstance(part, nn.Embedding)]
    n_total = sum(weight.numel() for weight in module.parameters())
    card = {
        "model": 0,
        "name": name,
        "n_params": n_total - sum(part.weight.numel() for part in embeddings),
        "n_params_total": n_total,
        "step": None,
        "n_tokens": None,
        "n_unique": None,
        "seed": None,
        "weights_sha256": weights_sha256(module),
        "context_length": None,
        "mean_loss_nats": float(samples.losses.mean(dtype=np.float64)),
    }
    write_array(work.path, "losses", name="losses.zarr", values=losses)
    write_table(work.path, "losses", name="models.parquet", table=pa.Table.from_pylist([card]))
    work.finish({"n_models": 1, "n_predictions": len(samples.losses)})


def _write_selection(
    run: RunFolder, config: RunConfig, samples: Samples, *, name: str
) -> NDArray[np.int64]:
    """Select every sample, in the seeded order; give that order."""
    work = run.open_workspace("selection", stage_config(config, "selection"))
    key = hash_order(samples.preds, seed=derive_seed(config.selection.seed, "selection"))
    order = np.argsort(key, kind="stable")
    pred = samples.preds[order]
    preds = {
        "pred": pred,
        "doc": order,
        "pos": pred - samples.offsets[order],
        "loss_nats": samples.losses[order],
        "order": key[order],
    }
    n = len(order)
    counts = {"rule": ["samples"], "n_before": [n], "n_after": [n]}
    write_table(work.path, "selection", name="preds.parquet", table=pa.table(preds))
    write_table(work.path, "selection", name="counts.parquet", table=pa.table(counts))
    threshold = float(np.nextafter(samples.losses.max(), np.float32(np.inf)))
    facts = {"model": name, "n_preds": n, "n_wanted": n}
    work.finish(facts | {"threshold_nats": threshold, "threshold_raised": False})
    return order
