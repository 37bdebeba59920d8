"""When a suite trained on planted text has learned which skill: losses of labelled answers by step.

Checkpoints of one trained model enter; leaves the mean loss of each skill's answers at each step,
on documents it never saw, entries seen and held out apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from quantascope.core.errors import DataError
from quantascope.core.progress import Advance, ignore_progress
from quantascope.lm.checkpoints import load_checkpoint
from quantascope.lm.losses import document_losses
from quantascope.lm.planted.config import PREFIX
from quantascope.lm.planted.language import Language
from quantascope.lm.planted.source import language_of
from quantascope.lm.suite_folder import TOKENIZER_FILE, CheckpointCard, SuiteFolder, read_suite
from quantascope.lm.tokenizer import load_tokenizer, plain

__all__ = ["LEARNED_NATS", "Emergence", "emergence_table", "measure_emergence"]

LEARNED_NATS: Final = 0.2
"""A skill counts as learned when the mean loss of its answers stays below this [nat]."""

_TEST_SEED: Final = 1_000_003  # no seed of training: documents of other splits differ anyhow
_BATCH_TOKENS: Final = 4096


@dataclass(frozen=True, kw_only=True)
class Emergence:
    """Losses of the skills of one model over its training.

    Attributes
    ----------
    skills, kinds, frequencies
        Of each skill, by falling frequency, axis ``rank``.
    steps
        Steps measured, rising, axis ``step``.
    loss_nats, error_nats
        Mean loss of answers with entries seen in training, and its standard error [nat], axes
        ``(rank, step)``; NaN where the documents held no such answer.
    held_out_nats
        Mean loss of answers with held-out entries at the last step [nat], axis ``rank``.
    polygenic_nats, polygenic_floor_nats
        Mean loss at the last step of answers that two skills rule, and what knowing both leaves:
        ln 2 where they disagree [nat].
    n_answers
        Answers behind each loss, axis ``rank``.
    """

    skills: tuple[str, ...]
    kinds: tuple[str, ...]
    frequencies: NDArray[np.float64]
    steps: NDArray[np.int64]
    loss_nats: NDArray[np.float64]
    error_nats: NDArray[np.float64]
    held_out_nats: NDArray[np.float64]
    polygenic_nats: float
    polygenic_floor_nats: float
    n_answers: NDArray[np.int64]

    @property
    def measured(self) -> NDArray[np.bool_]:
        """Whether the documents held answers of a skill, axis ``rank``."""
        return self.n_answers > 0

    def step_learned(self, threshold_nats: float = LEARNED_NATS) -> NDArray[np.float64]:
        """Give the first step from which a skill stays below the threshold, axis ``rank``.

        The truth lies between the step before in `steps` and this one. Infinite for a skill that
        is not learned at the last step, or that is not `measured`.
        """
        above = ~(self.loss_nats < threshold_nats)
        last_above = above.shape[1] - 1 - np.argmax(above[:, ::-1], axis=1)
        first = np.where(above.any(axis=1), last_above + 1, 0)
        return np.append(self.steps.astype(float), np.inf)[first]

    def share_learned(self, threshold_nats: float = LEARNED_NATS) -> float:
        """Give the share of the measured skills learned at the last step; NaN if there is none."""
        return _mean(np.isfinite(self.step_learned(threshold_nats))[self.measured])


def emergence_table(found: Emergence) -> pa.Table:
    """Lay out the losses as a table.

    Returns
    -------
    pa.Table
        A row for each skill and step: ``rank`` from 1, ``skill``, ``kind``, ``frequency``,
        ``step``, ``loss_nats``, ``error_nats`` (standard error), ``n_answers``.
    """
    n_steps = len(found.steps)
    each = np.arange(len(found.skills)).repeat(n_steps)
    return pa.table(
        {
            "rank": each + 1,
            "skill": np.array(found.skills)[each],
            "kind": np.array(found.kinds)[each],
            "frequency": found.frequencies[each],
            "step": np.tile(found.steps, len(found.skills)),
            "loss_nats": found.loss_nats.ravel(),
            "error_nats": found.error_nats.ravel(),
            "n_answers": found.n_answers[each],
        }
    )


def measure_emergence(
    folder: Path,
    *,
    n_documents: int = 400,
    steps: Sequence[int] | None = None,
    advance: Advance = ignore_progress,
) -> Emergence:
    """Measure each skill's loss at each checkpoint of a suite trained on planted text.

    Parameters
    ----------
    folder
        A finished suite with one member.
    n_documents
        Test documents; rare skills need many.
    steps
        Checkpoints; none takes all.
    advance
        Told of checkpoints done.

    Raises
    ------
    DataError
        If the suite was not trained on planted text, or has several members.
    """
    suite = read_suite(folder)
    if not suite.suite.corpus.startswith(PREFIX) or len(suite.suite.members) != 1:
        raise DataError(f"{folder}: not a suite of one model trained on planted text")
    _, language = language_of(suite.suite.corpus)
    cards = [card for card in suite.cards if steps is None or card.step in steps]
    answers = _Answers.of(language, suite, n_documents=n_documents)
    losses = []
    for card in sorted(cards, key=lambda card: card.step):
        losses.append(answers.losses(suite, card))
        advance(1)
    return answers.summary(
        language, np.array(sorted(card.step for card in cards)), np.stack(losses, axis=1)
    )


@dataclass(frozen=True)
class _Answers:
    """Tokens of test documents and their answers: place, rank of the skill, what kind."""

    tokens: NDArray[np.int32]
    offsets: NDArray[np.int64]
    place: NDArray[np.int64]
    rank: NDArray[np.int64]
    held_out: NDArray[np.bool_]
    shared: NDArray[np.bool_]
    disagree: NDArray[np.bool_]

    @classmethod
    def of(cls, language: Language, suite: SuiteFolder, *, n_documents: int) -> "_Answers":
        """Draw test documents and find their answers."""
        encoder = plain(load_tokenizer(suite.path / TOKENIZER_FILE))
        documents = [language.document(_TEST_SEED, i, split="test") for i in range(n_documents)]
        ids = [encoder.encode(document.text).ids for document in documents]
        words = [word for document in documents for word in document.words]
        rank = {skill.name: at for at, skill in enumerate(language.skills)}
        place = [at for at, word in enumerate(words) if word.labels[0].skill in rank]
        labels = [words[at].labels for at in place]
        return cls(
            tokens=np.concatenate(ids).astype(np.int32),
            offsets=np.concatenate([[0], np.cumsum([len(row) for row in ids])]),
            place=np.array(place),
            rank=np.array([rank[found[0].skill] for found in labels]),
            held_out=np.array([any(label.held_out for label in found) for found in labels]),
            shared=np.array([len(found) > 1 for found in labels]),
            disagree=np.array([words[at].ambiguous for at in place]),
        )

    def losses(self, suite: SuiteFolder, card: CheckpointCard) -> NDArray[np.float64]:
        """Compute the losses of the answers under one checkpoint, axis ``pred``."""
        model = load_checkpoint(suite.path / card.file, suite=suite.suite, card=card).float().eval()
        losses = document_losses(
            model,
            self.tokens,
            self.offsets,
            max_length=suite.suite.context_length,
            batch_tokens=_BATCH_TOKENS,
        )
        return losses[self.place].astype(np.float64)

    def summary(
        self, language: Language, steps: NDArray[np.int64], losses: NDArray[np.float64]
    ) -> Emergence:
        """Average by skill; losses have axes ``(pred, step)``."""
        there = ~np.isnan(losses[:, 0])
        seen, held_out = there & ~self.shared & ~self.held_out, there & ~self.shared & self.held_out
        shared = there & self.shared & ~self.held_out
        n_skills = len(language.skills)
        mean, error, count = _mean_by(self.rank[seen], losses[seen], n_skills)
        return Emergence(
            skills=tuple(skill.name for skill in language.skills),
            kinds=tuple(skill.kind for skill in language.skills),
            frequencies=language.frequencies,
            steps=steps,
            loss_nats=mean,
            error_nats=error,
            held_out_nats=_mean_by(self.rank[held_out], losses[held_out], n_skills)[0][:, -1],
            polygenic_nats=_mean(losses[shared, -1]),
            polygenic_floor_nats=_mean(np.log(2) * self.disagree[shared]),
            n_answers=count,
        )


def _mean_by(
    group: NDArray[np.int64], values: NDArray[np.float64], n_groups: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Mean, standard error and count of each group; NaN for groups that are empty."""
    member = (group == np.arange(n_groups)[:, None]).astype(np.float64)
    count = member.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = member @ values / count[:, None]
        variance = np.maximum(member @ values**2 / count[:, None] - mean**2, 0.0)
        error = np.sqrt(variance / np.maximum(count - 1, 0)[:, None])
    return mean, error, count.astype(np.int64)


def _mean(values: NDArray[Any]) -> float:
    return float(values.mean()) if len(values) else float("nan")
