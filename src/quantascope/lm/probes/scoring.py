"""How a model answers: log-likelihood, exact match, choice and Brier score of each question.

Questions as token ids and a model enter; a row of scores a question leaves. Context and answer are
encoded apart, with white space at the context's end moved to the answer, so that an answer is the
same tokens under every model and a greedy model would have to write just these.

References
----------
Scores of several choices and of free answers: arXiv:2206.04615, section 2; what the choice of score
does to a curve: arXiv:2304.15004.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import logsumexp
from torch.nn.functional import cross_entropy, pad
from transformers import PreTrainedModel

from quantascope.core.errors import DataError
from quantascope.lm.losses import BLOCK_ROWS, check_unembedding, is_out_of_memory, rounded_up
from quantascope.lm.probes.items import ProbeItem
from quantascope.lm.tokenizer import plain

__all__ = ["SCORES", "Encoded", "encode_items", "score_items"]

SCORES: Final = ("loss", "token_loss", "exact", "choice", "brier")
"""Columns of `score_items`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Encoded:
    """One question as token ids."""

    context: NDArray[np.int64]
    """BOS, if the tokenizer has one, and the end of the context that fits."""
    options: tuple[NDArray[np.int64], ...]
    """Answers, the right ones first."""
    n_right: int
    n_cut: int
    """Tokens of the context that did not fit."""
    at_boundary: bool
    """Whether text and first answer, encoded as one, are the same tokens."""


def encode_items(
    items: Sequence[ProbeItem], tokenizer: Any, *, max_length: int, bos_id: int | None
) -> list[Encoded]:
    """Encode questions.

    Parameters
    ----------
    items
        Questions.
    tokenizer
        Of the models; encodes text and nothing else.
    max_length
        Longest input [token], BOS included; longer contexts lose their beginning.
    bos_id
        Token before every context, if the tokenizer wants one.

    Raises
    ------
    DataError
        If an answer alone does not fit, or a context is white space alone to a model without BOS.
    """
    encoder = plain(tokenizer)

    def ids(text: str) -> NDArray[np.int64]:
        return np.array(encoder.encode(text, add_special_tokens=False).ids, dtype=np.int64)

    prefix = np.array([] if bos_id is None else [bos_id], dtype=np.int64)
    found = []
    for item in items:
        head = item.context.rstrip()
        tail = item.context[len(head) :]
        options = tuple(ids(tail + text) for text in (*item.answers, *item.wrong))
        room = max_length + 1 - max(map(len, options)) - len(prefix)
        if room < 1:
            raise DataError(
                f"probes, line {item.line}: an answer of {max(map(len, options))} tokens leaves no "
                f"room for its context; the models read {max_length}"
            )
        context = ids(head)
        if not len(context) + len(prefix) or not all(map(len, options)):
            raise DataError(
                f"probes, line {item.line}: a text that the tokenizer has no tokens for"
            )
        whole = ids(item.context + item.answers[0])
        found.append(
            Encoded(
                context=np.concatenate([prefix, context[-room:]]),
                options=options,
                n_right=len(item.answers),
                n_cut=max(len(context) - room, 0),
                at_boundary=bool(np.array_equal(whole, np.concatenate([context, options[0]]))),
            )
        )
    return found


def score_items(
    module: PreTrainedModel,
    encoded: Sequence[Encoded],
    *,
    dtype: torch.dtype = torch.float32,
    batch_tokens: int = 768,
    name: str = "model",
) -> NDArray[np.float32]:
    """Score a model on questions.

    Parameters
    ----------
    module
        Causal language model in evaluation mode.
    encoded
        As `encode_items` gives them.
    dtype
        float32, or bfloat16 for the products.
    batch_tokens
        Padded tokens in one forward pass; halved whenever memory runs out.
    name
        Of the model, in errors.

    Returns
    -------
    NDArray[np.float32]
        Axes ``item score``, scores as in `SCORES`. ``loss``: -ln of the probability of the
        likeliest right answer [nat]; ``token_loss``: the same over its number of tokens;
        ``exact``: 1 if each token of some right answer is the likeliest where it stands, else 0.
        With wrong answers, else NaN: ``choice``: 1 if the likeliest of all options is right (a tie
        counts by its share); ``brier``: squared error of the probabilities of the options, brought
        to sum 1, right ones together, 0 to 2.

    Raises
    ------
    DataError
        If a loss is not finite, or one question alone exceeds the memory.
    """
    check_unembedding(module, name)
    rows = [(item.context, option) for item in encoded for option in item.options]
    loss, greedy = _options(module, rows, dtype=dtype, batch_tokens=batch_tokens, name=name)
    n_tokens = np.array([len(option) for _, option in rows])
    ends = np.cumsum([len(item.options) for item in encoded])
    scores = [
        _scores(loss[end - n : end], greedy[end - n : end], n_tokens[end - n : end], item.n_right)
        for end, item in zip(ends, encoded, strict=True)
        for n in [len(item.options)]
    ]
    return np.array(scores, dtype=np.float32).reshape(len(encoded), len(SCORES))


def _scores(
    loss: NDArray[np.float64],
    greedy: NDArray[np.bool_],
    n_tokens: NDArray[np.int64],
    n_right: int,
) -> tuple[float, ...]:
    best = int(loss[:n_right].argmin())
    answer = (loss[best], loss[best] / n_tokens[best], float(greedy[:n_right].any()))
    if len(loss) == n_right:
        return (*answer, np.nan, np.nan)
    likeliest = loss == loss.min()
    log_p = -loss - logsumexp(-loss)
    wrong = np.exp(log_p[n_right:])
    missed = wrong.sum()
    return (*answer, likeliest[:n_right].sum() / likeliest.sum(), missed**2 + (wrong**2).sum())


def _options(
    module: PreTrainedModel,
    rows: list[tuple[NDArray[np.int64], NDArray[np.int64]]],
    *,
    dtype: torch.dtype,
    batch_tokens: int,
    name: str,
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Give for each context and answer the answer's loss [nat], and whether greed writes it."""
    lengths = np.array([len(context) + len(option) for context, option in rows])
    order = np.argsort(-lengths, kind="stable")
    loss, greedy = np.empty(len(rows)), np.empty(len(rows), dtype=np.bool_)
    start = 0
    while start < len(order):
        n_rows = max(1, batch_tokens // int(lengths[order[start]]))
        batch = order[start : start + n_rows]
        try:
            found = _batch(module, [rows[i] for i in batch], dtype=dtype)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            if len(batch) == 1:
                raise DataError(f"model {name}: one question exceeds the memory") from error
            batch_tokens //= 2
            continue
        loss[batch], greedy[batch] = found
        start += len(batch)
    if not np.isfinite(loss).all():
        raise DataError(f"model {name}: loss is NaN or infinite; its weights are damaged")
    return np.maximum(loss, 0.0), greedy


def _batch(
    module: PreTrainedModel,
    rows: list[tuple[NDArray[np.int64], NDArray[np.int64]]],
    *,
    dtype: torch.dtype,
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Score answers side by side; padding stands right, where no token sees it."""
    device = torch.device(module.device)
    n_answer = [len(option) for _, option in rows]
    longest = max(len(context) + len(option) for context, option in rows) - 1
    limit = getattr(module.config, "max_position_embeddings", None) or rounded_up(longest)
    width = max(min(rounded_up(longest), limit), longest)
    ids = torch.zeros(len(rows), width + 1, dtype=torch.int64)
    wanted = torch.zeros(len(rows), width, dtype=torch.bool)
    for i, (context, option) in enumerate(rows):
        whole = np.concatenate([context, option])
        ids[i, : len(whole)] = torch.from_numpy(whole)
        wanted[i, len(context) - 1 : len(whole) - 1] = True
    ids, wanted = ids.to(device), wanted.to(device)
    with (
        torch.inference_mode(),
        torch.autocast(device.type, dtype, enabled=dtype != torch.float32),
    ):
        hidden = module.base_model(input_ids=ids[:, :-1]).last_hidden_state[wanted]
        loss, hit = _unembed(module, hidden, ids[:, 1:][wanted])
    losses = [part.double().sum().item() for part in loss.cpu().split(n_answer)]
    hits = [bool(part.all()) for part in hit.cpu().split(n_answer)]
    return np.array(losses), np.array(hits)


def _unembed(
    module: PreTrainedModel, hidden: torch.Tensor, targets: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    head = module.get_output_embeddings()
    padded = pad(hidden, (0, 0, 0, rounded_up(len(targets)) - len(targets)))
    losses = torch.empty(len(targets), dtype=torch.float32, device=hidden.device)
    hits = torch.empty(len(targets), dtype=torch.bool, device=hidden.device)
    for start in range(0, len(targets), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        logits = head(padded[rows]).float()[: len(targets) - start]
        losses[rows] = cross_entropy(logits, targets[rows], reduction="none")
        hits[rows] = logits.argmax(dim=-1) == targets[rows]
    return losses, hits
