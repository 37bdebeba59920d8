"""Predictions in their text, tokens shaded by their loss."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from quantascope.explorer.words import SHADE_LEVELS
from quantascope.reader.run import Run
from quantascope.reader.tokens import render_tokens

__all__ = ["Context", "context_of"]


@dataclass(frozen=True, kw_only=True)
class Context:
    """One prediction in its text."""

    pred: int
    doc: int
    pos: int
    source: str
    text: str
    target: str
    loss_nats: float
    html: Markup

    def as_dict(self) -> dict[str, Any]:
        """Give all but the rendered form, as plain values."""
        return {name: value for name, value in vars(self).items() if name != "html"}


def context_of(
    run: Run, pred: int, losses: NDArray[np.float32], *, before: int, after: int
) -> Context:
    """Render one prediction.

    Parameters
    ----------
    run
        The run.
    pred
        The prediction.
    losses
        Loss [nat] of every token, axis ``token``.
    before, after
        Tokens shown on each side.
    """
    one = run.pred(pred)
    doc = one.doc
    start = max(int(run.offsets[doc]), pred - before)
    stop = min(int(run.offsets[doc + 1]), pred + 1 + after)
    mine = losses[start:stop]
    pieces = [run.vocab.get(i, b"") for i in run.tokens[start:stop].tolist()]
    level = np.where(np.isnan(mine), 0, np.searchsorted(SHADE_LEVELS, mine))
    return Context(
        pred=pred,
        doc=doc,
        pos=one.pos,
        source=one.source,
        text=one.text,
        target=one.target,
        loss_nats=float(mine[pred - start]),
        html=render_tokens(pieces, pred - start, level=level.tolist()),
    )
