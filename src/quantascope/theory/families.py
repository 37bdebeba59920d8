"""Synthetic model families whose truth is known: what every later stage is first tried on.

In goes a config; out come quanta with their frequencies and thresholds, models with what each has
learned, and the losses of single samples under every model, as the real pipeline would measure
them. A model is one size, one data set, one seed at one checkpoint; checkpoints of a run share the
run's chance effects, so all curves of one model deviate together, as they do in real training.
"""

import itertools
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from quantascope.core.rng import stream
from quantascope.theory.quanta import Floats, check_range, frequencies
from quantascope.theory.resources import ROUNDING, QuantaModel

__all__ = ["Family", "FamilyConfig", "sample_family"]

_ROWS: Final = 1 << 16
"""Samples whose losses are put together at once."""


@dataclass(frozen=True, kw_only=True)
class FamilyConfig:
    """A family: the task, the models, and what is left to chance."""

    alpha: float = 0.4
    n_quanta: int = 500
    n_params: tuple[float, ...] = (1e4, 3e4, 1e5, 3e5, 1e6)
    n_steps: tuple[float, ...] = (np.inf,)
    """Checkpoints [step]; infinite: trained to the end."""
    n_tokens: tuple[float, ...] = (np.inf,)
    """Data set sizes, for runs that see data again and again."""
    seeds: tuple[int, ...] = (0,)
    """Training seeds; every (size, data, seed) is one run with chance effects of its own."""
    capacity: float = 1e4
    """C: parameters a quantum takes."""
    threshold: float = 1e3
    """tau: samples that must need a quantum before it is learned."""
    first_step: float = 100.0
    """T: steps to learn the first quantum."""
    learning: Literal["threshold", "smooth"] = "threshold"
    width: float = 0.3
    """Smooth learning: scale of the logistic in ln(resource)."""
    a: float = 0.0
    """Loss with all of a sample's quanta learned [nat]."""
    gain: float = 1.0
    """Mean of Delta_k, what quantum k takes off the loss [nat]."""
    gain_spread: float = 0.0
    """Standard deviation of ln Delta_k over quanta; 0: all equal."""
    quantum_shift: float = 0.0
    """Standard deviation of a run's shift of each quantum's threshold, in ln(resource)."""
    run_shift: float = 0.0
    """Standard deviation of a run's shift of all its thresholds, in ln(resource)."""
    noise: float = 0.0
    """Standard deviation of the measurement error of one sample under one model [nat]."""
    n_samples: int = 1000
    quanta_per_sample: int = 1
    """m: 1 is monogenic; above, a sample's loss is the mean over m independent quanta."""
    n_classes: int = 1
    class_purity: float = 0.0
    """Chance that a sample has the class of its first quantum; otherwise any, evenly."""

    def __post_init__(self) -> None:
        """Refuse what no family can be made of."""
        for name in ("alpha", "capacity", "threshold", "first_step", "width", "gain"):
            check_range(name, getattr(self, name), above=0)
        for name in ("gain_spread", "quantum_shift", "run_shift", "noise", "class_purity"):
            check_range(name, getattr(self, name), least=0)
        for name in ("n_quanta", "n_samples", "quanta_per_sample", "n_classes"):
            value = getattr(self, name)
            if not (value >= 1 and value == int(value)):
                raise ValueError(f"{name}: {value} found; allowed: whole numbers from 1")
        for name in ("n_params", "n_steps", "n_tokens", "seeds"):
            if not getattr(self, name):
                raise ValueError(f"{name}: empty; allowed: one value or more")
        for name in ("n_params", "n_steps", "n_tokens"):
            check_range(name, getattr(self, name), above=0)
        if self.learning not in {"threshold", "smooth"}:
            raise ValueError(f"learning: {self.learning!r} found; allowed: threshold, smooth")
        if self.class_purity > 1:
            raise ValueError(f"class_purity: {self.class_purity} found; allowed: 0 to 1")

    @property
    def theory(self) -> QuantaModel:
        """Give the same task as assumptions of the closed forms (strict thresholds, no chance)."""
        return QuantaModel(
            alpha=self.alpha,
            n_tasks=self.n_quanta,
            capacity=self.capacity,
            threshold=self.threshold,
            first_step=self.first_step,
            a=self.a,
            b=self.a + self.gain,
            whole=self.learning == "threshold",
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Family:
    """A family with its truth."""

    config: FamilyConfig
    seed: int
    frequency: Floats
    """p_k, axis quantum."""
    gain: Floats
    """Delta_k [nat], axis quantum."""
    class_of_quantum: NDArray[np.int64]
    log_threshold: dict[str, Floats]
    """ln of the parameters, tokens and steps that a quantum takes before shifts, axis quantum."""
    shift: NDArray[np.float32]
    """What each run adds to ln threshold, axes run, quantum."""
    strength: NDArray[np.float32]
    """How far each model has learned each quantum, 0 to 1, axes model, quantum."""
    models: dict[str, NDArray[np.float64] | NDArray[np.int64]]
    """Table of models: n_params, n_tokens, n_steps, seed, run; axis model."""
    quanta: NDArray[np.int64]
    """Indices (rank - 1) of the quanta that each sample uses, axes sample, use."""
    sample_class: NDArray[np.int64]
    losses: NDArray[np.float32]
    """Measured loss [nat], axes sample, model."""
    expected_loss: Floats
    """Mean loss over all samples there could be, without measurement error, axis model [nat]."""

    @property
    def mean_loss(self) -> Floats:
        """Mean of the measured losses, axis model [nat]."""
        return np.asarray(self.losses.mean(axis=0, dtype=np.float64))


def sample_family(config: FamilyConfig, *, seed: int) -> Family:
    """Make a family of models with known quanta.

    A sample that uses quanta ``k_1 ... k_m`` has the loss
    ``a + mean_j Delta_kj (1 - R_kj(model)) + noise``. Quantum k of a model has strength 1 (learned)
    where each resource exceeds its threshold times ``exp(shift)``: ``C k`` parameters,
    ``tau / p_k`` tokens, ``T k^(alpha+1)`` steps; with smooth learning R is the product of
    logistics of ``ln(resource / threshold) / width``.

    Parameters
    ----------
    config
        The family.
    seed
        Seed of all draws; each kind of draw has a stream of its own, so that more samples or
        other noise leave the models as they are.

    Returns
    -------
    Family
        Losses as float32: a million samples and 20 models take 80 MB.

    Examples
    --------
    >>> config = FamilyConfig(n_samples=20_000, n_quanta=100, n_params=(1e4, 1e5, 1e6))
    >>> family = sample_family(config, seed=0)
    >>> family.strength.sum(axis=1).tolist()
    [1.0, 10.0, 100.0]
    >>> family.expected_loss.round(3).tolist()
    [0.631, 0.214, 0.0]
    """
    p = frequencies(np.arange(1, config.n_quanta + 1), config.alpha, n_tasks=config.n_quanta)
    gain = _gains(config, seed)
    models = _models(config)
    shift = _shifts(config, seed)
    log_threshold = _thresholds(config, p)
    strength = _strengths(config, models, log_threshold, shift=shift)
    quanta = _draw_quanta(config, p, seed)
    class_of_quantum = stream(seed, "family", "class").integers(config.n_classes, size=len(p))
    return Family(
        config=config,
        seed=seed,
        frequency=p,
        gain=gain,
        class_of_quantum=class_of_quantum,
        log_threshold=log_threshold,
        shift=shift,
        strength=strength,
        models=models,
        quanta=quanta,
        sample_class=_draw_classes(config, class_of_quantum[quanta[:, 0]], seed),
        losses=_losses(config, gain * (1 - strength), quanta, seed=seed),
        expected_loss=config.a + (1 - strength.astype(np.float64)) @ (p * gain),
    )


def _gains(config: FamilyConfig, seed: int) -> Floats:
    """Draw Delta_k from a lognormal with the wanted mean."""
    log = config.gain_spread * stream(seed, "family", "gain").standard_normal(config.n_quanta)
    return np.asarray(config.gain * np.exp(log - config.gain_spread**2 / 2))


def _models(config: FamilyConfig) -> dict[str, NDArray[np.float64] | NDArray[np.int64]]:
    """List the models: runs, and in each its checkpoints."""
    runs = itertools.product(config.n_params, config.n_tokens, config.seeds)
    rows = [
        (N, D, S, s, run)
        for (run, (N, D, s)), S in itertools.product(enumerate(runs), config.n_steps)
    ]
    N, D, S, seeds, run = zip(*rows, strict=True)
    return {
        "n_params": np.array(N, dtype=np.float64),
        "n_tokens": np.array(D, dtype=np.float64),
        "n_steps": np.array(S, dtype=np.float64),
        "seed": np.array(seeds, dtype=np.int64),
        "run": np.array(run, dtype=np.int64),
    }


def _shifts(config: FamilyConfig, seed: int) -> NDArray[np.float32]:
    """Draw each run's chance effects; a run is addressed by what it is, not by its place."""
    runs = list(itertools.product(config.n_params, config.n_tokens, config.seeds))
    shifts = np.empty((len(runs), config.n_quanta), dtype=np.float32)
    for row, (n_params, n_tokens, of_run) in enumerate(runs):
        draw = stream(seed, "family", "shift", repr(float(n_params)), repr(float(n_tokens)), of_run)
        common = config.run_shift * draw.standard_normal()
        shifts[row] = common + config.quantum_shift * draw.standard_normal(config.n_quanta)
    return shifts


def _thresholds(config: FamilyConfig, p: Floats) -> dict[str, Floats]:
    log_rank = np.log(np.arange(1, config.n_quanta + 1))
    return {
        "n_params": np.log(config.capacity) + log_rank,
        "n_tokens": np.log(config.threshold) - np.log(p),
        "n_steps": np.log(config.first_step) + (config.alpha + 1) * log_rank,
    }


def _strengths(
    config: FamilyConfig,
    models: dict[str, NDArray[np.float64] | NDArray[np.int64]],
    log_threshold: dict[str, Floats],
    *,
    shift: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Give what each model has learned, the product over its three resources."""
    strength = np.ones((len(models["run"]), config.n_quanta), dtype=np.float32)
    for name, threshold in log_threshold.items():
        ahead = np.log(models[name])[:, None] - threshold - shift[models["run"]]
        if config.learning == "threshold":
            strength *= ahead >= -ROUNDING  # a resource equal to the threshold reaches it
        else:
            strength *= 0.5 + 0.5 * np.tanh(ahead / (2 * config.width))
    return strength


def _draw_quanta(config: FamilyConfig, p: Floats, seed: int) -> NDArray[np.int64]:
    """Draw the quanta of each sample by their frequencies."""
    uniform = stream(seed, "family", "quanta").random((config.n_samples, config.quanta_per_sample))
    edges = np.cumsum(p)
    drawn = np.searchsorted(edges / edges[-1], uniform, side="right")
    return drawn.astype(np.int64, copy=False)


def _draw_classes(config: FamilyConfig, own: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    draw = stream(seed, "family", "sample class")
    faithful = draw.random(len(own)) < config.class_purity
    return np.where(faithful, own, draw.integers(config.n_classes, size=len(own)))


def _losses(
    config: FamilyConfig, missing: Floats, quanta: NDArray[np.int64], *, seed: int
) -> NDArray[np.float32]:
    """Put together what samples lose, block by block; `missing` has the axes model, quantum."""
    table = np.ascontiguousarray(missing.T, dtype=np.float32) / np.float32(quanta.shape[1])
    losses = np.empty((len(quanta), table.shape[1]), dtype=np.float32)
    draw = stream(seed, "family", "noise")
    for start in range(0, len(quanta), _ROWS):
        rows = slice(start, start + _ROWS)
        np.take(table, quanta[rows, 0], axis=0, out=losses[rows])
        for use in quanta[rows, 1:].T:
            losses[rows] += table[use]
        losses[rows] += np.float32(config.a)
        if config.noise:
            error = draw.standard_normal(losses[rows].shape, dtype=np.float32)
            losses[rows] += np.float32(config.noise) * error
    return losses
