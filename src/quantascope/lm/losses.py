"""One loss for each prediction: documents apart, batched by length, memory bounded.

Tokens and a model enter; float32 losses in nats leave, axis ``token``, NaN where there is no
prediction. The unembedding runs over blocks of rows, so that logits of a whole batch (0.15 GB at
768 tokens and 50,304 words) never exist.
"""

from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy, pad
from transformers import PreTrainedModel

from quantascope.core.errors import DataError
from quantascope.core.progress import Advance, ignore_progress

__all__ = [
    "BLOCK_ROWS",
    "check_unembedding",
    "document_losses",
    "is_out_of_memory",
    "rounded_up",
    "shard_documents",
]

BLOCK_ROWS: Final = 128
"""Rows of logits at a time: 2 MB at 4,096 words, 26 MB at 50,304."""
# oneDNN keeps a compiled kernel for each shape of a bfloat16 product: 0.3 GB after 65,000 tokens
# of documents of all lengths. Rounding the shapes up keeps them few.
_SHAPE_STEP: Final = 16
_OUT_OF_MEMORY: Final = ("not enough memory", "out of memory", "allocate memory")


def document_losses(
    module: PreTrainedModel,
    tokens: NDArray[np.integer[Any]],
    offsets: NDArray[np.integer[Any]],
    *,
    max_length: int,
    bos_id: int | None = None,
    dtype: torch.dtype = torch.float32,
    batch_tokens: int = 768,
    name: str = "model",
    first_document: int = 0,
    advance: Advance = ignore_progress,
) -> NDArray[np.float32]:
    """Compute the loss [nat] of every token given the tokens before it in its document.

    Parameters
    ----------
    module
        Causal language model in evaluation mode; documents are moved to its device.
    tokens
        Flat vocabulary ids of the corpus, axis ``token``.
    offsets
        Starts of the documents wanted and the end of the last one, positions in `tokens`.
    max_length
        Longest input [token], BOS included; what lies beyond has no loss.
    bos_id
        Token put before every document, if the tokenizer wants one.
    dtype
        float32, or bfloat16 for the products (softmax stays float32).
    batch_tokens
        Padded tokens in one forward pass; halved whenever memory runs out.
    name
        Name of the model in error messages.
    first_document
        Number of the first document in error messages.
    advance
        Told of tokens done.

    Returns
    -------
    NDArray[np.float32]
        Loss [nat], axis ``token``, from the first offset to the last; NaN at position 0 of each
        document (also behind a BOS: position is at least 1) and beyond `max_length`.

    Raises
    ------
    ValueError
        If `max_length` or `batch_tokens` leaves nothing to predict.
    DataError
        If a loss is not finite, or one document alone exceeds the memory.
    """
    if max_length < 2 or batch_tokens < 1:
        raise ValueError(
            f"max_length, batch_tokens: {max_length}, {batch_tokens} found; at least 2 and 1 needed"
        )
    base = int(offsets[0])
    losses = np.full(int(offsets[-1]) - base, np.nan, dtype=np.float32)
    prefix = [] if bos_id is None else [bos_id]
    lengths = np.minimum(np.diff(offsets), max_length - len(prefix))
    order = np.argsort(-lengths, kind="stable")
    order = order[lengths[order] > 1]
    start = 0
    check_unembedding(module, name)
    while start < len(order):
        stop = _batch_end(lengths[order] + len(prefix), start=start, batch_tokens=batch_tokens)
        batch = order[start:stop]
        rows = [tokens[offsets[doc] : offsets[doc] + lengths[doc]] for doc in batch]
        try:
            found = _batch_losses(module, rows, prefix=prefix, max_length=max_length, dtype=dtype)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            batch_tokens = _halved(batch_tokens, len(batch), name, first_document + int(batch[0]))
            continue
        for doc, loss in zip(batch, found, strict=True):
            if not np.isfinite(loss).all():
                raise DataError(
                    f"model {name}: loss is NaN or infinite in document {first_document + doc}; "
                    "its weights are damaged or overflow in this dtype"
                )
            at = int(offsets[doc]) - base
            losses[at + 1 : at + 1 + len(loss)] = loss
        advance(sum(map(len, rows)))
        start = stop
    return losses


def shard_documents(
    offsets: NDArray[np.integer[Any]], *, shard_tokens: int
) -> list[tuple[int, int]]:
    """Cut the documents into runs of about `shard_tokens` tokens.

    Parameters
    ----------
    offsets
        Starts of all documents and the end of the last one.
    shard_tokens
        A shard ends with the document that reaches this many tokens, at least 1.

    Returns
    -------
    list[tuple[int, int]]
        First document and the one behind the last, of each shard, in order.

    Examples
    --------
    >>> shard_documents(np.array([0, 3, 5, 9, 10]), shard_tokens=5)
    [(0, 2), (2, 4)]
    """
    if shard_tokens < 1:
        raise ValueError(f"shard_tokens: {shard_tokens} found; give at least 1")
    shards, first, n_documents = [], 0, len(offsets) - 1
    while first < n_documents:
        reached = int(np.searchsorted(offsets, offsets[first] + shard_tokens))
        last = min(max(reached, first + 1), n_documents)
        shards.append((first, last))
        first = last
    return shards


def _batch_end(lengths: NDArray[np.integer[Any]], *, start: int, batch_tokens: int) -> int:
    """End of the batch: its first row is its longest, so it alone decides the padding."""
    n_rows = max(1, batch_tokens // int(lengths[start]))
    return min(start + n_rows, len(lengths))


def _batch_losses(
    module: PreTrainedModel,
    rows: list[NDArray[np.integer[Any]]],
    *,
    prefix: list[int],
    max_length: int,
    dtype: torch.dtype,
) -> list[NDArray[np.float32]]:
    """Losses of tokens 1, 2, ... of each row. Padding stands right, where no token sees it."""
    device = torch.device(module.device)
    width = min(rounded_up(len(prefix) + max(map(len, rows)) - 1), max_length)
    ids = torch.zeros(len(rows), width + 1, dtype=torch.int64)
    for row, target in zip(rows, ids, strict=True):
        whole = np.concatenate([np.array(prefix, dtype=np.int64), row.astype(np.int64)])
        target[: len(whole)] = torch.from_numpy(whole)
    lengths = torch.tensor([len(row) for row in rows])
    # Token j of a document is predicted from column len(prefix) + j - 1.
    column = torch.arange(width)
    wanted = (column >= len(prefix)) & (column < len(prefix) + lengths[:, None] - 1)
    ids, wanted = ids.to(device), wanted.to(device)
    with (
        torch.inference_mode(),
        torch.autocast(device.type, dtype, enabled=dtype != torch.float32),
    ):
        hidden = module.base_model(input_ids=ids[:, :-1]).last_hidden_state[wanted]
        losses = _unembed(module, hidden, ids[:, 1:][wanted])
    return [part.numpy() for part in losses.cpu().split((lengths - 1).tolist())]


def _unembed(module: PreTrainedModel, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    head = module.get_output_embeddings()
    n_padding = rounded_up(len(targets)) - len(targets)
    padded = pad(hidden, (0, 0, 0, n_padding))
    losses = torch.empty(len(targets), dtype=torch.float32, device=hidden.device)
    for start in range(0, len(targets), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        logits = head(padded[rows]).float()[: len(targets) - start]
        losses[rows] = cross_entropy(logits, targets[rows], reduction="none")
    return losses


def rounded_up(length: int) -> int:
    """Round a length up, so that shapes stay few."""
    return -(-length // _SHAPE_STEP) * _SHAPE_STEP


def check_unembedding(module: PreTrainedModel, name: str) -> None:
    """Stop at models that do more to the last hidden state than to multiply it."""
    head = module.get_output_embeddings()
    device = torch.device(module.device)
    ids = torch.tensor([[1, 2, 3]], device=device)
    with torch.inference_mode():
        logits = module(input_ids=ids).logits.float()
        ours = head(module.base_model(input_ids=ids).last_hidden_state).float()
    if not torch.allclose(logits, ours, rtol=1e-2, atol=1e-2, equal_nan=True):
        raise DataError(f"model {name}: caps or scales its logits, which is not supported")


def is_out_of_memory(error: Exception) -> bool:
    """Tell whether an error of torch says that memory ran out."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return any(phrase in str(error).lower() for phrase in _OUT_OF_MEMORY)


def _halved(batch_tokens: int, n_rows: int, name: str, document: int) -> int:
    if n_rows == 1:
        raise DataError(
            f"model {name}: document {document} alone exceeds the memory; lower max_length"
        )
    return batch_tokens // 2
