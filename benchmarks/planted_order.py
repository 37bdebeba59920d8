"""Claims: on planted text noise does not emerge, and skills come in the order of their use.

Trains one small model a seed on one planted language, measures the loss of every token of the same
test documents at 23 log-spaced steps, and holds what the tools on families say against the truth:
how many noise predictions are called learned, and how the step learned goes with frequency. A
plain baseline leaves out the skills that are not learned (least squares on the others). Resumes;
about 95 CPU-seconds a seed.

    python benchmarks/planted_order.py [--seeds 2] [--out runs/planted_order]
"""

import argparse
import time
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from quantascope.core.rng import stream
from quantascope.families.classes import classify
from quantascope.families.emergence import find_emergence
from quantascope.families.order import crossing_bounds, learned_order
from quantascope.families.series import Series
from quantascope.lm.planted.source import language_of
from quantascope.lm.suites import Suite

SPEC = "planted:planted,n_skills=64"
N_TOKENS = 2048 * 1024
N_DOCUMENTS = 800
TEST_SEED = 1_000_003
STEPS = (1, 4, 16, 32, 64, 91, *(round(128 * 2 ** (k / 4)) for k in range(17)))
LEARNED = 0.2
LEAST = 10
N_CURVES = 2000


class DenseSuite(Suite):
    """A suite with more checkpoints than powers of two."""

    @property
    def checkpoints(self) -> tuple[int, ...]:
        """Steps that are measured."""
        return STEPS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("runs/planted_order"))
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    _, language = language_of(SPEC)
    truth = test_truth(language)
    losses = np.stack([measured(given.out, seed, language) for seed in range(given.seeds)], axis=1)
    report_order(losses, truth, language)
    report_noise(losses, truth)


def test_words(language: Any) -> list[list[Any]]:
    documents = range(N_DOCUMENTS)
    return [list(language.document(TEST_SEED, i, split="test").words) for i in documents]


def test_truth(language: Any) -> pd.DataFrame:
    words = [word for document in test_words(language) for word in document]
    return pd.DataFrame(
        {
            "skill": [word.labels[0].skill for word in words],
            "sub_skill": [word.labels[0].sub_skill for word in words],
            "alone": [len(word.labels) == 1 and not word.labels[0].held_out for word in words],
        }
    )


def measured(out: Path, seed: int, language: Any) -> np.ndarray:
    """Losses of all test tokens, axes ``token step``; trained unless the file is there."""
    path = out / f"seed{seed}" / "losses.npy"
    if path.exists():
        return np.load(path)
    import torch

    from quantascope.lm.losses import document_losses
    from quantascope.lm.planted.suites import planted_suite, planted_suite_text
    from quantascope.lm.tokenizer import plain
    from quantascope.lm.training import TrainingState, start_training, train

    torch.set_num_threads(1)
    begun = time.process_time()
    base = planted_suite(language_of(SPEC)[0], seed=seed, n_tokens=N_TOKENS)
    suite = DenseSuite(**{each.name: getattr(base, each.name) for each in fields(base)})
    text = planted_suite_text(suite)
    encoder = plain(text.tokenizer)
    ids = [
        encoder.encode("".join(f" {word.text}" for word in document)).ids
        for document in test_words(language)
    ]
    offsets = np.cumsum([0, *map(len, ids)])
    found: list[np.ndarray] = []

    def keep(state: TrainingState) -> None:
        model = state.model.eval()
        tokens = np.concatenate(ids).astype(np.int32)
        length = suite.context_length
        with torch.inference_mode():
            found.append(
                document_losses(model, tokens, offsets, max_length=length, batch_tokens=4096)
            )
        model.train()

    train(start_training(suite, suite.members[0]), text.tokens, validation=text.validation,
          keep=keep)  # fmt: skip
    path.parent.mkdir(exist_ok=True)
    np.save(path, np.stack(found, axis=1))
    print(f"seed {seed}: {time.process_time() - begun:.0f} CPU-s")
    return np.load(path)


def report_order(losses: np.ndarray, truth: pd.DataFrame, language: Any) -> None:
    usable = truth["alone"].to_numpy() & np.isfinite(losses[:, 0, 0])
    skill = truth["skill"].to_numpy()
    rows = [np.flatnonzero(usable & (skill == each.name)) for each in language.skills]
    kept = [i for i, row in enumerate(rows) if len(row) >= LEAST]
    curves = np.stack([losses[rows[i]].mean(axis=0, dtype=float) for i in kept])
    frequency = language.frequencies[kept]
    kind = np.array([language.skills[i].kind for i in kept])
    print(f"{len(kept)} of {len(rows)} skills have {LEAST} answers; learned: below {LEARNED} nat")
    for name, mine in (("all skills", kind != ""), ("facts alone", kind == "fact")):
        table = np.array([order_of(STEPS, c, frequency[mine]) for c in curves[mine].swapaxes(0, 1)])
        print(f"{name}, {mine.sum()}; means over {len(table)} seeds and their 95 % intervals")
        for column, what in enumerate(("learned", "rank correlation", "slope", "slope, plain")):
            print(f"  {what}: {mean_and_interval(table[:, column])}")
        middle = np.median(curves[mine], axis=1)
        pooled = learned_order(frequency[mine], *crossing_bounds(STEPS, middle, LEARNED))
        print(
            f"  over skills (median curve): rank correlation {pooled.correlation:.2f} "
            f"[{pooled.lo:.2f}, {pooled.hi:.2f}] (90 %), slope {pooled.slope.exponent:.2f} "
            f"[{pooled.slope.lo:.2f}, {pooled.slope.hi:.2f}]; theory -1"
        )


def order_of(steps: tuple[int, ...], curves: np.ndarray, frequency: np.ndarray) -> list[float]:
    earliest, latest = crossing_bounds(steps, curves, LEARNED)
    found = learned_order(frequency, earliest, latest)
    seen = np.isfinite(latest)
    plain = stats.linregress(np.log(frequency[seen]), np.log(latest[seen])).slope
    return [found.n_learned, found.correlation, found.slope.exponent, plain]


def mean_and_interval(values: np.ndarray) -> str:
    if len(values) < 2:
        return f"{values.mean():.3g} (one seed)"
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return f"{values.mean():.3g} +- {half:.2g}"


def report_noise(losses: np.ndarray, truth: pd.DataFrame) -> None:
    finite = np.isfinite(losses[:, 0, 0])
    noise = (truth["skill"] == "noise").to_numpy()
    kinds = {name: noise & (truth["sub_skill"] == name).to_numpy()
             for name in ("filler", "plain", "operand", "cue")}  # fmt: skip
    skilled = truth["alone"].to_numpy() & ~noise & (truth["skill"] != "syntax").to_numpy()
    print(f"called learned: changes (5 % of false ones), and ends below {LEARNED} nat")
    for name, mine in (*kinds.items(), ("answers of skills", skilled)):
        rows = np.flatnonzero(finite & mine)
        rows = stream(0, "planted order", name).permutation(rows)[:N_CURVES]
        series = series_of(losses[rows])
        found = find_emergence(series, threshold=LEARNED)
        classes = classify(series)
        learned = found.learned & (classes.name != "flat")
        low, high = stats.binomtest(int(learned.sum()), len(rows)).proportion_ci()
        late = classify(series_of(losses[rows][:, :, -9:]))
        print(
            f"  {name}, {len(rows)}: learned {learned.mean():.4f} [{low:.4f}, {high:.4f}]; "
            f"changes over all steps {(classes.name != 'flat').mean():.3f}, over the last two "
            f"octaves {(late.name != 'flat').mean():.3f}"
        )


def series_of(losses: np.ndarray) -> Series:
    n, n_runs, n_steps = losses.shape
    place = np.arange(n_runs * n_steps)
    return Series(
        scale="step",
        x=np.array(STEPS[-n_steps:], dtype=float),
        losses=losses.reshape(n, -1).astype(float),
        level=place % n_steps,
        run=place // n_steps,
    )


if __name__ == "__main__":
    main()
