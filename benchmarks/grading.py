"""Claim: the default method finds the skills that are there, where published cosines find a fifth.

Networks are trained (parity worlds) or read (planted text), the gradients of some learned samples
are taken whole, and methods group them: representations x graphs x clusterings, beside controls.
`--methods grid` is for choosing, on seeds 0 to 4; `final` for reporting, on seeds 5 to 9. Every row
goes to the CSV file as it comes; `--table` prints the file's means and extremes over seeds.

    python benchmarks/grading.py --world parity --seeds 0 1 2 --methods grid --out rows.csv
    python benchmarks/grading.py --world text --suite suites/picks/seed0 --seeds 0 --out rows.csv
    python benchmarks/grading.py --table --out rows.csv
"""

import argparse
import copy
import csv
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy import sparse
from sklearn.cluster import HDBSCAN, KMeans
from torch import nn
from torch.nn import functional

from quantascope.qdg.agreement import agree, recover
from quantascope.qdg.config import ClustersConfig, SketchConfig
from quantascope.qdg.graph import knn_graph
from quantascope.qdg.leiden import leiden_groupings, most_stable
from quantascope.qdg.merge_tree import merge_groups
from quantascope.qdg.merging import group_overlaps, merged_grouping
from quantascope.qdg.persample import chosen_parameters, sample_gradients
from quantascope.qdg.spectral import spectral_embedding
from quantascope.qdg.whitening import GradientMoments
from quantascope.toys.dense import DenseStream, DenseTask, coded_task, compositional_task
from quantascope.toys.parity import ParityTask

N_SAMPLES = 1000
LEARNED_NATS = 0.07
SKETCH_DIM = SketchConfig().dim
SKETCHED = f"whitened, lower, .01, sketch {SKETCH_DIM}"
SETTINGS = ClustersConfig(resolutions=(0.1, 0.25, 0.5, 1.0, 2.0), leiden_seeds=2, resamples=2)
Vectors = NDArray[np.float32]


@dataclass
class World:
    """Samples of one trained network."""

    skill: NDArray[np.int64]
    surface: dict[str, NDArray[np.int64]]
    """What stands on the page, as groups."""
    inputs: Vectors
    """Raw input, one-hot where it is tokens."""
    blocks: list[torch.Tensor]
    """Whole gradients, block by block from the bottom, axes (sample, n_in, n_out)."""
    activations: Vectors
    """Inputs of all layers at the sample, each of unit length."""
    moments: list[torch.Tensor] | None = None
    """Whole gradients that the whitening is taken from; None for those of the samples."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--world", default="parity", choices=[*PARITY_WORLDS, "text"])
    parser.add_argument("--suite", type=Path, help="folder of a planted suite, for --world text")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--methods", default="final", choices=["grid", "final"])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.table:
        print_table(options.out)
        return
    for seed in options.seeds:
        name = options.world if options.suite is None else options.suite.parent.name
        start = time.process_time()
        world = text_world(options.suite) if options.suite else parity_world(name, seed)
        made = time.process_time() - start
        print(f"{name} {seed}: {len(np.unique(world.skill))} skills, {made:.0f} CPU-s", flush=True)
        for method, labels in groupings(world, grid=options.methods == "grid"):
            spent = time.process_time() - start - made
            start += spent
            write_row(options.out, name, seed, method=method, labels=labels, world=world, cpu=spent)


# worlds


PARITY_WORLDS = {
    "parity": {"hidden": (128,), "steps": 6000},
    "parity-3": {"hidden": (300,), "steps": 12000},
    "coded": {"hidden": (192, 192), "steps": 8000},
    "composed": {"hidden": (192, 192), "steps": 5000},
}


def parity_task(name: str, seed: int) -> DenseTask:
    """Give the subtasks: the published kind, hidden behind code bits, or composed of atoms."""
    if name == "composed":
        pairs = [(i, (i + 1) % 8) for i in range(8)]
        return compositional_task(
            n=32, n_atoms=8, k=2, composites=pairs, weights=[2.0] * 8 + [1.0] * 8, seed=seed
        )
    if name == "coded":
        task = ParityTask(n_tasks=16, n=20, k=2, alpha=0.4, offset=2.0, seed=seed)
        return coded_task(task, code_order=2)
    small = name == "parity"
    task = ParityTask(
        n_tasks=50 if small else 100, n=20 if small else 50, k=2 if small else 3, seed=seed
    )
    counted = np.zeros((task.n_tasks, task.n), dtype=bool)
    np.put_along_axis(counted, task.subsets, True, axis=1)
    control = np.eye(task.n_tasks, dtype=bool)
    return DenseTask(counted=counted, control=control, frequencies=task.frequencies)


def train(task: DenseTask, hidden: tuple[int, ...], *, steps: int, seed: int) -> nn.Sequential:
    """Train with Adam at 2e-3 for one hidden layer, at 1e-3 for two, on fresh samples."""
    torch.manual_seed(seed)
    widths = [task.n_inputs, *hidden, 2]
    layers: list[nn.Module] = []
    for n_in, n_out in zip(widths[:-1], widths[1:], strict=True):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    module = nn.Sequential(*layers[:-1])
    optimiser = torch.optim.Adam(module.parameters(), lr=2e-3 / len(hidden))
    cpu = torch.device("cpu")
    stream = DenseStream(task, batch_size=1000, seed=seed, device=cpu)
    for step in range(steps):
        batch = stream.batch(step)
        loss = functional.cross_entropy(module(batch.inputs), batch.label)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return module


def parity_world(name: str, seed: int) -> World:
    """Train a network and take the gradients of samples of the subtasks that it has learned."""
    task = parity_task(name, seed)
    module = train(task, **PARITY_WORLDS[name], seed=seed)
    stream = DenseStream(task, batch_size=40_000, seed=seed + 1000, device=torch.device("cpu"))
    batch = stream.batch(0)
    with torch.no_grad():
        losses = functional.cross_entropy(module(batch.inputs), batch.label, reduction="none")
    subtask, losses = batch.subtask.numpy(), losses.numpy()
    count = np.maximum(np.bincount(subtask, minlength=len(task.frequencies)), 1)
    mean = np.bincount(subtask, weights=losses, minlength=len(count)) / count
    usable = (mean[subtask] < LEARNED_NATS) & (losses < LEARNED_NATS)
    rows = np.flatnonzero(usable)[:N_SAMPLES]
    inputs, label = batch.inputs[rows], batch.label[rows]
    names = [n for n in chosen_parameters(module) if n.endswith("weight")]

    def loss(net: nn.Module, part: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        return functional.cross_entropy(net(part[0]), part[1], reduction="none")

    # double precision: a loss that rounds to 0 has no gradient in single precision
    double = copy.deepcopy(module).double()
    found = list(sample_gradients(double, (inputs.double(), label), loss, names=names, how="vmap"))
    blocks = [torch.cat(parts).transpose(1, 2) for parts in zip(*found, strict=True)]
    length = torch.stack([block.flatten(1).norm(dim=1) for block in blocks]).norm(dim=0)
    blocks = [(block / length[:, None, None]).float() for block in blocks]
    layers, at = [], inputs
    for part in module:
        if isinstance(part, nn.Linear):
            layers.append(at.detach())
        at = part(at)
    return World(
        skill=subtask[rows],
        surface={"label": label.numpy()},
        inputs=inputs.numpy(),
        blocks=blocks,
        activations=unit(np.concatenate([unit(layer.numpy()) for layer in layers[1:]], axis=1)),
    )


def text_world(suite: Path) -> World:
    """Take whole gradients of answers of learned skills in new text, under the last checkpoint."""
    from quantascope.lm.loading import load_model
    from quantascope.lm.models import resolve_models
    from quantascope.pipeline.config import RunConfig, replace_values
    from quantascope.pipeline.context import CorpusArrays
    from quantascope.pipeline.grading import graded_truth
    from quantascope.pipeline.runner import run_stages
    from quantascope.qdg.engines import make_engine
    from quantascope.qdg.parameters import choose_parameters
    from quantascope.store.arrays import open_array
    from quantascope.store.folder import RunFolder

    config = replace_values(
        RunConfig(),
        {
            "models.suite": str(suite),
            "corpus.source": [f"planted:{suite.parent.name}"],
            "corpus.n_tokens": 60_000,
        },
    )
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder(Path(folder) / "run")
        run_stages(run, config, kinds=("corpus", "losses"))
        corpus, truth = CorpusArrays.of(run), graded_truth(run)
        tokens, offsets = np.array(corpus.tokens), np.array(corpus.offsets)
        corpus = CorpusArrays(tokens, offsets, corpus.max_length, corpus.bos_id)
        all_losses = np.asarray(open_array(run.stage("losses"), "losses", name="losses.zarr")[:])
    source = resolve_models(config.models)[-1]
    truth["loss"] = all_losses[truth.index, -1]
    truth["mean"] = truth.groupby("skill")["loss"].transform("mean")
    kept = truth[(truth["mean"] < 0.2) & (truth["loss"] < 0.1)]
    preds = np.sort(np.random.default_rng(0).permutation(kept.index.to_numpy())[:N_SAMPLES])
    low = np.flatnonzero(all_losses[:, -1] < 0.1)
    first = np.flatnonzero(np.diff(np.searchsorted(offsets, low, side="right"), prepend=-1))
    measured = low[np.unique(np.r_[first, first + 1])][:512]  # two a document, as in a run
    module = load_model(source)[0].eval()
    choice = choose_parameters(module)
    engine = make_engine(
        "batched", module, choice, projections=[None] * len(choice.blocks), targets_per_pass=8
    )
    blocks, activations = _text_gradients(module, engine, choice, corpus=corpus, preds=preds)
    moments, _ = _text_gradients(module, engine, choice, corpus=corpus, preds=measured)
    past = np.stack([tokens[np.maximum(preds - back, 0)] for back in range(1, 9)], axis=1)
    surface = {"next token": tokens[preds].astype(np.int64)}
    for n in (1, 2, 3):
        surface[f"last {n}"] = np.unique(past[:, :n], axis=0, return_inverse=True)[1].ravel()
    one_hot = np.concatenate([np.eye(int(tokens.max()) + 1)[past[:, i]] for i in range(8)], axis=1)
    return World(
        skill=pd.factorize(truth.loc[preds, "skill"])[0].astype(np.int64),
        surface=surface,
        inputs=one_hot.astype(np.float32),
        blocks=blocks,
        activations=activations,
        moments=moments,
    )


def _text_gradients(
    module: Any, engine: Any, choice: Any, *, corpus: Any, preds: NDArray[np.int64]
) -> tuple[list[torch.Tensor], Vectors]:
    """Give whole gradients block by block, and inputs of the layers at the predicting token."""
    inputs_of: dict[int, torch.Tensor] = {}

    def keep(place: int) -> Any:
        return lambda _m, args, _o: inputs_of.update({place: args[0].detach()})

    parts = [block.modules[0] for block in choice.blocks]
    hooks = [part.register_forward_hook(keep(i)) for i, part in enumerate(parts)]
    doc = np.searchsorted(corpus.offsets, preds, side="right") - 1
    blocks: list[list[torch.Tensor]] = [[] for _ in choice.blocks]
    activations = []
    for each in np.unique(doc):
        start, stop = int(corpus.offsets[each]), int(corpus.offsets[each + 1])
        ids = torch.from_numpy(np.array(corpus.tokens[start:stop], dtype=np.int64))
        shift = int(corpus.bos_id is not None)
        if shift:
            ids = torch.cat([torch.tensor([corpus.bos_id]), ids])
        positions = [int(p) - start + shift for p in preds[doc == each]]
        for _, gradients in engine.gradients(ids, positions):  # rising positions come in order
            for store, gradient in zip(blocks, gradients, strict=True):
                store.append(gradient.detach().float())
        with torch.no_grad():
            module(ids[None])
        at = [p - 1 for p in positions]
        activations.append(
            np.concatenate([unit(inputs_of[i][0, at].numpy()) for i in sorted(inputs_of)], axis=1)
        )
    for hook in hooks:
        hook.remove()
    return [torch.cat(store) for store in blocks], unit(np.concatenate(activations))


# representations: exact inner products of all pairs, as vectors of as many numbers as samples


def unit(rows: NDArray[np.floating]) -> Vectors:
    """Scale rows to length 1; zero rows stay."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.where(length > 0, length, 1.0)).astype(np.float32)


def gradients(world: World, *, lower: bool, damping: float | None) -> Vectors:
    """Give unit vectors with the cosines of gradients, whitened or as they are."""
    n = len(world.blocks)
    gram = np.zeros((len(world.skill),) * 2)
    pairs = list(zip(world.blocks, world.moments or world.blocks, strict=True))
    for block, measured in pairs[: (n + 1) // 2 if lower else n]:
        matrix = block
        if damping is not None:
            moments = GradientMoments([(block.shape[2], block.shape[1])])
            moments.add([measured])
            maps = moments.whitening(damping=damping)
            matrix = maps.inputs[0] @ block @ maps.signals[0]
        flat = matrix.flatten(1).numpy()
        gram += flat @ flat.T
    length = np.sqrt(np.diag(gram))  # norms differ by orders of magnitude: scale, then decompose
    values, vectors = np.linalg.eigh(gram / np.outer(length, length))
    return unit(vectors * np.sqrt(np.maximum(values, 0.0)))


def whitened(rows: Vectors, damping: float = 0.01) -> Vectors:
    """Whiten rows about their mean."""
    centred = rows - rows.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred / len(rows))
    return unit(centred @ (vectors * (np.maximum(values, 0) + damping * values.mean()) ** -0.5))


def sketched(vectors: Vectors, dim: int) -> Vectors:
    """Press vectors into random directions, with the error of the product's sketch."""
    random = np.random.default_rng(0).standard_normal((vectors.shape[1], dim), dtype=np.float32)
    return unit(vectors @ random)


def representations(world: World, *, grid: bool) -> Iterator[tuple[str, Vectors, bool]]:
    """Give name, vectors, and whether signs count for nothing."""
    published = gradients(world, lower=False, damping=None)
    yield "published cosine", published, False
    yield "control: whitened input", whitened(world.inputs), True
    yield "activations", world.activations, True
    lower = gradients(world, lower=True, damping=0.01)
    yield "whitened, lower, .01", lower, True
    yield SKETCHED, sketched(lower, SKETCH_DIM), True
    if grid:
        yield "absolute cosine", published, True
        yield "activations, whitened", whitened(world.activations), True
        yield "whitened, lower, .001", gradients(world, lower=True, damping=0.001), True
        yield "whitened, lower, .1", gradients(world, lower=True, damping=0.1), True
        yield "whitened, all, .01", gradients(world, lower=False, damping=0.01), True


# groupings


def groupings(world: World, *, grid: bool) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Group by every method; those told the true number of groups are marked with a star."""
    n_true = len(np.unique(world.skill))
    for name, vectors, sign_free in representations(world, grid=grid):
        graph = knn_graph(vectors, sign_free=sign_free)
        leiden = leiden_groupings(graph, resolutions=SETTINGS.resolutions, n_seeds=2, n_resamples=2)
        yield f"{name} | Leiden, most stable", most_stable(leiden).labels
        yield f"{name} | Leiden, 1", leiden[3].labels
        exact = name != SKETCHED
        merged = merged_grouping(graph, vectors, config=SETTINGS, exact=exact)
        yield f"{name} | merged", merged.labels
        if grid:
            yield from more_clusterings(
                name, vectors, graph, n_true=n_true, sign_free=sign_free, exact=exact
            )


def more_clusterings(
    name: str,
    vectors: Vectors,
    graph: sparse.csr_array,
    *,
    n_true: int,
    sign_free: bool,
    exact: bool,
) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Group by spectral clustering, density, other graphs, and second-order similarity."""
    cosines = vectors @ vectors.T
    alike = np.abs(cosines) if sign_free else (1 + cosines) / 2
    embedding = spectral_embedding(vectors, n_true, similarity=np.abs if sign_free else _halved)
    yield f"{name} | spectral*", KMeans(n_true, n_init=3, random_state=0).fit_predict(embedding)
    distance = np.clip(1.0 - alike, 0.0, None).astype(np.float64)
    np.fill_diagonal(distance, 0.0)
    density = HDBSCAN(min_cluster_size=8, metric="precomputed", copy=True)
    yield f"{name} | HDBSCAN", density.fit_predict((distance + distance.T) / 2)
    one_way = graph.multiply(_nearest(alike)).tocsr()
    mutual = one_way.minimum(one_way.T).tocsr()
    merged = merged_grouping(mutual, vectors, config=SETTINGS, exact=exact)
    yield f"{name} | merged, mutual", merged.labels
    near = _nearest(alike)
    shared = ((near @ near.T).multiply(graph > 0) / 30.0 + 0.5 * (graph > 0)).tocsr()
    merged = merged_grouping(shared, vectors, config=SETTINGS, exact=exact)
    yield f"{name} | merged, shared", merged.labels
    profile = unit(cosines**2 - (cosines**2).mean(axis=0))
    second = leiden_groupings(
        knn_graph(profile), resolutions=SETTINGS.resolutions, n_seeds=2, n_resamples=2
    )
    yield f"{name} | second order, Leiden", most_stable(second).labels
    singles = np.arange(len(vectors))
    tree = merge_groups(group_overlaps(vectors, [singles])[0], np.ones(len(vectors), int))
    yield f"{name} | linkage of singles", tree.labels


def _halved(cosines: NDArray[np.floating]) -> NDArray[np.floating]:
    return (1 + cosines) / 2


def _nearest(alike: NDArray[np.floating], count: int = 15) -> sparse.csr_array:
    alike = alike.copy()
    np.fill_diagonal(alike, -np.inf)
    columns = np.argpartition(-alike, count, axis=1)[:, :count]
    rows = np.repeat(np.arange(len(alike)), count)
    return sparse.csr_array((np.ones(rows.size), (rows, columns.ravel())), shape=alike.shape)


# rows


def write_row(
    out: Path,
    world_name: str,
    seed: int,
    *,
    method: str,
    labels: NDArray[np.int64],
    world: World,
    cpu: float,
) -> None:
    """Append one method's scores."""
    score = agree(labels, world.skill)
    found = [each.verdict == "found" for each in recover(labels, world.skill)]
    surface = {name: agree(labels, codes) for name, codes in world.surface.items()}
    row = {
        "world": world_name,
        "seed": seed,
        "method": method,
        "n_true": score.n_known,
        "n_found": score.n_found,
        "ari": score.adjusted_rand,
        "ami": score.adjusted_mutual,
        "nmi": score.normalised_mutual,
        "purity": score.purity,
        "skills_found": np.mean(found),
        "surface_ami": max(each.adjusted_mutual for each in surface.values()),
        "cpu_s": cpu,
    }
    new = not out.exists()
    with out.open("a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)


def print_table(path: Path) -> None:
    """Print the mean, and the least and largest over seeds, of the scores of each method."""
    rows = pd.read_csv(path)
    rows["part"] = np.where(rows["seed"] < 5, "chosen on", "reported on")
    for (world, part), group in rows.groupby(["world", "part"]):
        seeds = sorted(group["seed"].unique())
        print(f"\n{world}, {part} seeds {seeds}")
        print("| method | ARI | least to most | AMI | with surface | skills found | groups |")
        print("|---|---|---|---|---|---|---|")
        means = group.groupby("method").agg(
            ari=("ari", "mean"),
            least=("ari", "min"),
            most=("ari", "max"),
            ami=("ami", "mean"),
            surface=("surface_ami", "mean"),
            found=("skills_found", "mean"),
            n=("n_found", "mean"),
            true=("n_true", "mean"),
        )
        for name, row in means.sort_values("ari", ascending=False).iterrows():
            print(
                f"| {name} | {row.ari:.2f} | {row.least:.2f} to {row.most:.2f} | {row.ami:.2f} | "
                f"{row.surface:.2f} | {row.found:.0%} | {row.n:.0f} of {row.true:.0f} |"
            )


if __name__ == "__main__":
    main()
