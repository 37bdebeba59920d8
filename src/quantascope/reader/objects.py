"""What a run gives by name or place: a fitted exponent, a cluster, a prediction."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from markupsafe import Markup
from numpy.typing import NDArray

from quantascope.core.rng import hash_order
from quantascope.reader.notebook import cluster_html, fit_html, pred_html
from quantascope.reader.tokens import decode_tokens, render_context, render_text

if TYPE_CHECKING:
    from quantascope.reader.run import Run

__all__ = ["Cluster", "Fit", "Pred"]

_TOKENS_BEFORE = 64
_TOKENS_AFTER = 12


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A fitted exponent."""

    name: str
    estimate: float
    lo: float
    """Ends of its 95 % interval; NaN or infinite where the data set none."""
    hi: float
    range_lo: float
    """Ends of the range that was fitted."""
    range_hi: float
    n_points: int
    method: str
    identified: bool
    calibrated: bool
    reason: str
    """Why it is not identified or not calibrated; empty where there is nothing to say."""

    def _repr_html_(self) -> str:
        """Show it as a table of one row, for notebooks."""
        return fit_html(self)


@dataclass(frozen=True)
class Cluster:
    """One cluster of the default clustering."""

    run: "Run"
    id: str
    """Identity: ``c`` and eight hex digits."""
    row: pd.Series = field(compare=False, repr=False)
    """Its row of `Run.clusters`."""

    @property
    def rank(self) -> int:
        """Place by size, from 1."""
        return int(self.row["rank"])

    @property
    def size(self) -> int:
        """Predictions in it."""
        return int(self.row["size"])

    @property
    def label(self) -> str:
        """Label from counts."""
        return str(self.row["label"])

    def label_html(self) -> Markup:
        """Render the label: words plain, tokens escaped with their white space visible."""
        parts = [
            Markup("{} <code>{}</code>").format(word, render_text(text, max_chars=40))
            for word, text in self.run.label_parts(self.id)
        ]
        return Markup("; ").join(parts) if parts else Markup("no label")

    @property
    def preds(self) -> NDArray[np.int64]:
        """Its predictions, in a fixed shuffled order."""
        members = self.run.members
        mine = members.loc[members["cluster"] == self.id, "pred"].to_numpy()
        return mine[np.argsort(hash_order(mine, seed=0))]

    def contexts(self, n: int = 20) -> "list[Pred]":
        """Give the first n of its predictions, in a fixed shuffled order."""
        return [self.run.pred(int(pred)) for pred in self.preds[:n]]

    def __repr__(self) -> str:
        """Say id, rank, size and label."""
        return f"Cluster({self.id}, rank {self.rank}, size {self.size}, {self.label})"

    def _repr_html_(self) -> str:
        """Show label, evidence and contexts, for notebooks."""
        return cluster_html(self)


@dataclass(frozen=True)
class Pred:
    """One next-token prediction: its text, where it came from, its losses."""

    run: "Run"
    index: int

    @property
    def doc(self) -> int:
        """Document it stands in."""
        return int(np.searchsorted(self.run.offsets, self.index, side="right")) - 1

    @property
    def pos(self) -> int:
        """Position of the predicted token in its document."""
        return self.index - int(self.run.offsets[self.doc])

    @property
    def source(self) -> str:
        """Where the document came from, with the character offset."""
        (sources, offsets), doc = self.run.sources, self.doc
        return f"{sources[doc]}@{offsets[doc]}"

    @property
    def target(self) -> str:
        """The predicted token's text."""
        return "".join(decode_tokens(self._pieces(self.index, self.index + 1)))

    @property
    def text(self) -> str:
        """Text before the target."""
        start = max(int(self.run.offsets[self.doc]), self.index - _TOKENS_BEFORE)
        return "".join(decode_tokens(self._pieces(start, self.index)))

    @property
    def losses(self) -> pd.Series:
        """Loss [nat] under each model."""
        values = np.asarray(self.run.losses[self.index, :])
        models = self.run.models
        return pd.Series(values[models["model"].to_numpy()], index=models["name"])

    def html(self, *, before: int = _TOKENS_BEFORE, after: int = _TOKENS_AFTER) -> Markup:
        """Render its context, escaped, the target boxed.

        Parameters
        ----------
        before, after
            Tokens shown on each side.
        """
        doc = self.doc
        start = max(int(self.run.offsets[doc]), self.index - before)
        stop = min(int(self.run.offsets[doc + 1]), self.index + 1 + after)
        return render_context(self._pieces(start, stop), self.index - start)

    def __repr__(self) -> str:
        """Say index, source and the text's end."""
        return f"Pred({self.index}, {self.source}, …{self.text[-40:]!r} -> {self.target!r})"

    def _repr_html_(self) -> str:
        """Show its context and losses, for notebooks."""
        return pred_html(self)

    def _pieces(self, start: int, stop: int) -> list[bytes]:
        vocab = self.run.vocab
        return [vocab.get(i, b"") for i in self.run.tokens[start:stop].tolist()]
