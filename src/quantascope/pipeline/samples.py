"""Samples of a module laid out as documents: rendered text, then the target as the last token.

Enters: a module, batches, a loss for each sample, and what is known of each. Leaves: tokens, losses
and the table of the truth.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import nn

from quantascope.qdg.persample import LossPerSample

__all__ = ["Render", "Samples", "check_truth_columns", "truth_table"]

Render = Callable[[Any], Sequence[tuple[str, str]]]
"""Gives for a batch, sample by sample, what goes in and the target, as text."""

_N_BYTES: Final = 256  # the vocabulary: single bytes, then whole targets
_TRUTH: Final = ("skill", "sub_skill")


@dataclass(frozen=True)
class Samples:
    """Samples laid out as documents, with their losses [nat]."""

    texts: list[str]
    targets: list[str]
    losses: NDArray[np.float32]
    tokens: NDArray[np.int32]
    offsets: NDArray[np.int64]
    vocabulary: list[bytes]

    @classmethod
    def of(
        cls,
        module: nn.Module,
        batches: Iterable[Any],
        loss_per_sample: LossPerSample,
        *,
        render: Render | None,
    ) -> "Samples":
        """Compute the losses and render every sample to bytes and a target token."""
        training = module.training
        module.eval()
        losses: list[NDArray[np.float32]] = []
        rendered: list[tuple[str, str]] = []
        try:
            for batch in batches:
                with torch.no_grad():
                    losses.append(loss_per_sample(module, batch).float().cpu().numpy())
                rendered += _render(batch, render, n=len(losses[-1]), first=len(rendered))
        finally:
            module.train(training)
        texts = [text or " " for text, _ in rendered]
        targets = [target for _, target in rendered]
        names = sorted(set(targets))
        place = {target: _N_BYTES + i for i, target in enumerate(names)}
        documents = [
            [*text.encode(), place[target]] for text, target in zip(texts, targets, strict=True)
        ]
        return cls(
            texts=texts,
            targets=targets,
            losses=np.concatenate(losses),
            tokens=np.concatenate([np.array(d, dtype=np.int32) for d in documents]),
            offsets=np.cumsum([0] + [len(d) for d in documents]).astype(np.int64),
            vocabulary=[bytes([b]) for b in range(_N_BYTES)] + [n.encode() for n in names],
        )

    @property
    def preds(self) -> NDArray[np.int64]:
        """Index of each sample's target: the last token of its document."""
        return self.offsets[1:] - 1


def check_truth_columns(truth: Mapping[str, Sequence[str]] | None, *, run: object) -> None:
    """Refuse, before any work, a truth that no run could keep."""
    if truth is None:
        return
    if run is None:
        raise ValueError("truth: given without run; give run=FOLDER, which keeps it")
    if "skill" not in truth or set(truth) - set(_TRUTH):
        raise ValueError(f"truth: columns {sorted(truth)} found; give skill, and sub_skill if any")
    if len({len(column) for column in truth.values()}) > 1 or "" in map(str, truth["skill"]):
        raise ValueError("truth: columns of unlike length or an empty skill; name each sample's")


def truth_table(preds: NDArray[np.int64], truth: Mapping[str, Sequence[str]]) -> pa.Table:
    """Lay out what is known of each sample as the rows of ``truth.parquet``.

    Parameters
    ----------
    preds
        Index of each sample's target, axis ``sample``.
    truth
        ``skill`` of each sample, and ``sub_skill`` if any.

    Raises
    ------
    ValueError
        If there is not one name for each sample.
    """
    n = len(preds)
    if len(truth["skill"]) != n:
        raise ValueError(f"truth: {len(truth['skill'])} skills for {n} samples; give one each")
    return pa.table(
        {
            "pred": preds,
            "skill": [str(name) for name in truth["skill"]],
            "sub_skill": [str(name) for name in truth.get("sub_skill", [""] * n)],
            "entry": [""] * n,
            "weight": np.ones(n),
            "held_out": np.zeros(n, dtype=bool),
        }
    )


def _render(batch: Any, render: Render | None, *, n: int, first: int) -> Sequence[tuple[str, str]]:
    if render is None:
        return [(f"sample {first + i}: ", "?") for i in range(n)]
    rendered = render(batch)
    if len(rendered) != n:
        raise ValueError(f"render: gave {len(rendered)} texts for a batch of {n}; give one each")
    return rendered
