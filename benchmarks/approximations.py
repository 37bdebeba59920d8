"""How far approximate gradients and sketches are from exact ones, on the weights of a real model.

Low-loss predictions of the sampler's text under a model; exact inner products of all pairs, summed
over groups of layers; against them the own-position engine (from its factors, no sketch) and
sketches of exact and of own-position gradients: Pearson's r of cosines, root mean square error,
share of the ten nearest neighbours kept, and agreement of Leiden clusters with those of the exact
cosines (adjusted Rand; beside it that of the exact clusters with themselves under other seeds).

    python benchmarks/approximations.py MODEL [--preds 500] [--length 96] [--layers all]
"""

import argparse
import time
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from quantascope.core.rng import hash_order
from quantascope.lm.config import ModelsConfig
from quantascope.lm.loading import load_model, load_tokenizer
from quantascope.lm.losses import document_losses
from quantascope.lm.models import resolve_models
from quantascope.lm.sources.sampler import sampler_documents
from quantascope.qdg.agreement import adjusted_rand, mean_pairwise_rand
from quantascope.qdg.config import SketchConfig
from quantascope.qdg.gram import exact_gram, own_position_gram
from quantascope.qdg.graph import knn_graph
from quantascope.qdg.leiden import leiden_runs
from quantascope.qdg.parameters import choose_parameters
from quantascope.qdg.sketch import sketch_predictions

NEIGHBOURS = 10
A_DOCUMENT = 8
"""Most predictions of one document."""

Sequences = list[tuple[NDArray[np.int64], NDArray[np.int64]]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="folder, .gguf file or hub id")
    parser.add_argument("--preds", type=int, default=500)
    parser.add_argument("--length", type=int, default=96)
    parser.add_argument("--threshold", type=float, default=0.3, help="highest loss [nat]")
    parser.add_argument("--layers", default="all")
    options = parser.parse_args()
    torch.set_num_threads(1)
    (source,) = resolve_models(ModelsConfig(model=(options.model,)))
    module, card = load_model(source, device="cpu", dtype="float32")
    choice = choose_parameters(module, layers=options.layers)
    documents = tokens_of(source, length=options.length)
    sequences = low_losses(module, documents, n=options.preds, threshold=options.threshold)
    n = sum(len(positions) for _, positions in sequences)
    print(
        f"{card.name}: {choice.n_params:,} numbers a gradient, {n} predictions below "
        f"{options.threshold} nat in {len(sequences)} documents of at most {options.length}"
    )
    exact, took = timed(lambda: exact_gram(module, sequences, choice=choice))
    wanted = cosines(exact)
    runs = clusters(wanted)
    print(f"{'gradients':<34} {'r':>6} {'RMSE':>6} {'kept':>5} {'Rand':>5}  CPU-s")
    print(f"{'exact':<34} {1:6.3f} {0:6.3f} {1:5.2f} {mean_pairwise_rand(runs):5.2f}  {took:.0f}")
    for label, gram, took in approximations(module, sequences, choice, options.layers):
        found = cosines(gram)
        pairs = np.triu_indices(n, k=1)
        r = np.corrcoef(wanted[pairs], found[pairs])[0, 1]
        rmse = np.sqrt(np.mean((wanted - found)[pairs] ** 2))
        rand = np.mean([adjusted_rand(a, b) for a in runs for b in clusters(found)])
        print(
            f"{label:<34} {r:6.3f} {rmse:6.3f} {kept(wanted, found):5.2f} {rand:5.2f}  {took:.0f}"
        )


def approximations(module, sequences, choice, layers) -> Iterator[tuple[str, NDArray, float]]:
    gram, took = timed(lambda: own_position_gram(module, sequences, choice=choice))
    yield "own position, factors", gram, took
    for engine in ("batched", "own_position"):
        for dim, inside, outside in ((4096, 32, 0), (4096, 64, 64), (8192, 64, 64)):
            config = SketchConfig(
                engine=engine, layers=layers, whiten=False, dim=dim, input_dim=inside,
                output_dim=outside,
            )  # fmt: skip
            (rows, _), took = timed(
                lambda c=config: sketch_predictions(module, sequences, config=c)
            )
            rows = rows.astype(np.float64)
            yield f"{engine}, {inside} x {outside or 'all'} -> {dim}", rows @ rows.T, took


def tokens_of(source, *, length: int) -> Iterator[NDArray[np.int64]]:
    found = load_tokenizer(source)
    for document in sampler_documents(seed=0):
        ids = found.tokenizer.encode(document.text, add_special_tokens=False).ids
        whole = ([] if found.bos_id is None else [found.bos_id]) + ids
        if len(whole) >= length // 2:
            yield np.array(whole[:length], dtype=np.int64)


def low_losses(module, documents, *, n: int, threshold: float) -> Sequences:
    chosen: Sequences = []
    for ids in documents:
        losses = document_losses(
            module, ids, np.array([0, len(ids)]), max_length=len(ids), dtype=torch.float32
        )
        low = np.flatnonzero(losses < threshold)
        low = low[low >= 8]
        kept = np.sort(low[np.argsort(hash_order(low, seed=0))][:A_DOCUMENT])
        if len(kept):
            chosen.append((ids, kept))
        if sum(len(positions) for _, positions in chosen) >= n:
            return chosen
    return chosen


def cosines(gram: NDArray) -> NDArray[np.float64]:
    length = np.sqrt(np.maximum(np.diag(gram), 1e-300))
    return gram / length[:, None] / length


def kept(wanted: NDArray, found: NDArray) -> float:
    alone = np.eye(len(wanted), dtype=bool)
    a, b = (np.argsort(np.where(alone, -np.inf, c))[:, -NEIGHBOURS:] for c in (wanted, found))
    return float(
        np.mean([len(np.intersect1d(i, j)) for i, j in zip(a, b, strict=True)]) / NEIGHBOURS
    )


def clusters(cosine: NDArray) -> list[NDArray[np.int64]]:
    """Leiden on the nearest neighbours, five seeds; vectors of these cosines are made for it."""
    values, vectors = np.linalg.eigh(cosine)
    graph = knn_graph(vectors * np.sqrt(np.maximum(values, 0.0)))
    runs, _ = leiden_runs(
        graph, resolution=1.0, n_seeds=5, n_resamples=0, resample_share=1.0, seed=0
    )
    return runs


def timed(work):
    start = time.process_time()
    result = work()
    return result, time.process_time() - start


if __name__ == "__main__":
    main()
