"""Which checkpoints of a model are wanted, and what their names say; nothing is loaded here.

A text such as ``log:1..143000:24`` and the steps that a model was kept at enter; revisions leave.
What is known of Pythia (steps, tokens a step, sizes, names with a seed) stands here as data.

References
----------
Pythia: arXiv:2304.01373; seeds of its smaller sizes (PolyPythias): arXiv:2503.09543.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from quantascope.core.errors import DataError

__all__ = [
    "PYTHIA_SHAPES",
    "PYTHIA_STEPS",
    "PYTHIA_TOKENS_PER_STEP",
    "Facts",
    "choose_revisions",
    "facts_of_name",
    "pythia_params",
    "step_of",
]

PYTHIA_STEPS: Final = (0, *(2**k for k in range(10)), *range(1000, 144_000, 1000))
"""The 154 steps that Pythia is kept at; the weights of step 0 and step 1 are the same."""

PYTHIA_TOKENS_PER_STEP: Final = 2_097_152
"""1,024 rows of 2,048 tokens."""

PYTHIA_SHAPES: Final[dict[str, tuple[int, int]]] = {
    "14m": (6, 128),
    "31m": (6, 256),
    "70m": (6, 512),
    "160m": (12, 768),
    "410m": (24, 1024),
    "1b": (16, 2048),
    "1.4b": (24, 2048),
    "2.8b": (32, 2560),
    "6.9b": (32, 4096),
    "12b": (36, 5120),
}
"""Layers and width by the size's name."""

_STEP: Final = re.compile(r"step(\d{1,12})")
_SEED: Final = re.compile(r".*-seed(\d{1,9})")
_PYTHIA: Final = re.compile(r"pythia-([\d.]+[mb])(-deduped)?(-(data-|weight-)?seed\d+)?")
_RANGE: Final = re.compile(r"log:(\d{1,12})\.\.(\d{1,12}):(\d{1,6})")
_NAMED: Final = 6  # checkpoints that an error lists at most


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a model's name and revision say of it; None where they say nothing."""

    step: int | None
    n_tokens: int | None
    seed: int | None
    size: str | None
    """A key of `PYTHIA_SHAPES`, if the name is one of Pythia's."""


def pythia_params(size: str) -> int:
    """Give the non-embedding parameters of a size of Pythia.

    ``layers (12 width^2 + 13 width) + 2 width``: four matrices, their biases and two norms a layer,
    and the last norm.

    References
    ----------
    arXiv:2304.01373, table 1.

    Examples
    --------
    >>> pythia_params("70m"), pythia_params("2.8b")
    (18915328, 2517652480)
    """
    n_layers, width = PYTHIA_SHAPES[size]
    return n_layers * (12 * width**2 + 13 * width) + 2 * width


def facts_of_name(name: str, revision: str | None = None) -> Facts:
    """Read step, tokens, seed and size from a model's short name and its revision.

    A seed is what stands behind ``-seed``; a model of Pythia without has seed 0, as in the
    evaluations of its seeds. Pythia's first release (``-v0``) had other batches: its tokens are
    not known.

    Examples
    --------
    >>> facts_of_name("pythia-160m-seed3", "step1000")
    Facts(step=1000, n_tokens=2097152000, seed=3, size='160m')
    """
    step = step_of(revision or "")
    seed = _SEED.fullmatch(name)
    pythia = _PYTHIA.fullmatch(name)
    size = pythia[1] if pythia and pythia[1] in PYTHIA_SHAPES else None
    if size is None:
        return Facts(step=step, n_tokens=None, seed=int(seed[1]) if seed else None, size=None)
    seen = PYTHIA_STEPS[-1] if revision in (None, "main") else step
    return Facts(
        step=step,
        n_tokens=None if seen is None else seen * PYTHIA_TOKENS_PER_STEP,
        seed=int(seed[1]) if seed else 0,
        size=size,
    )


def step_of(revision: str) -> int | None:
    """Give the step in a revision's name, None for one without.

    Examples
    --------
    >>> step_of("step512"), step_of("main")
    (512, None)
    """
    found = _STEP.fullmatch(revision)
    return int(found[1]) if found else None


def choose_revisions(wanted: str, *, steps: Sequence[int] | None, name: str) -> list[str]:
    """List the revisions that a text asks for, each once, in the order of the text.

    Parameters
    ----------
    wanted
        Items between commas: ``stepN``; ``log:A..B:N``, N steps from A to B evenly in logs, each
        snapped to the nearest (in logs) that is there, so that fewer may be left; or another
        branch's name, such as ``main``.
    steps
        Steps the model was kept at; None if that is not known.
    name
        Of the model, for errors.

    Raises
    ------
    ValueError
        If an item is not understood.
    DataError
        If a step is not there, or steps in logs are asked for where it is not known which are.

    Examples
    --------
    >>> choose_revisions("log:1..143000:6,main", steps=PYTHIA_STEPS, name="pythia-70m")
    ['step1', 'step8', 'step128', 'step1000', 'step13000', 'step143000', 'main']
    """
    found: list[str] = []
    for item in (part.strip() for part in wanted.split(",")):
        if not item or any(c.isspace() for c in item):
            raise ValueError(
                f"revisions: {wanted!r} found; allowed are stepN, main and log:A..B:N between "
                "commas, as in log:1..143000:24 or step1000,step2000,main"
            )
        if item.startswith("log:"):
            found += [f"step{step}" for step in _log_spaced(item, steps=steps, name=name)]
        else:
            _check_step(item, steps=steps, name=name)
            found.append(item)
    return list(dict.fromkeys(found))


def _log_spaced(item: str, *, steps: Sequence[int] | None, name: str) -> list[int]:
    match = _RANGE.fullmatch(item)
    first, last, n = (int(part) for part in match.groups()) if match else (0, 0, 0)
    if not (0 < first < last and n > 1):
        raise ValueError(
            f"revisions: {item!r} found; allowed is log:A..B:N with 0 < A < B steps and N from 2, "
            "as in log:1..143000:24"
        )
    if steps is None:
        raise DataError(
            f"model {name}: which steps it was kept at is not known; list them, as in "
            "step1000,step2000"
        )
    there = np.array(sorted(step for step in steps if first <= step <= last), dtype=np.float64)
    if not len(there):
        raise DataError(f"model {name}: no checkpoint within {item}; {_shown(steps)}")
    wanted = np.geomspace(first, last, n)
    nearest = np.abs(np.log(wanted[:, None] / there)).argmin(axis=1)
    return [int(there[i]) for i in dict.fromkeys(nearest.tolist())]


def _check_step(item: str, *, steps: Sequence[int] | None, name: str) -> None:
    step = step_of(item)
    if step is not None and steps is not None and step not in steps:
        raise DataError(f"model {name}: no checkpoint {item}; {_shown(steps, around=step)}")


def _shown(steps: Sequence[int], *, around: int | None = None) -> str:
    if not steps:
        return "it has no checkpoint stepN"
    if around is not None:
        near = sorted(sorted(steps, key=lambda step: abs(step - around))[:2])
        return "the nearest are " + ", ".join(f"step{step}" for step in near)
    listed = ", ".join(str(step) for step in sorted(steps)[:_NAMED])
    more = f" and {len(steps) - _NAMED} more, up to {max(steps)}" if len(steps) > _NAMED else ""
    return f"it has steps {listed}{more}"
