"""Train one member of a suite on rows of tokens, resumably and to the bit.

Tokens enter as arrays, the state leaves as named tensors; files are `suite_training`'s business.
The loss is computed over blocks of rows of the unembedding, so that the logits of a batch (64 MB
at 4,096 tokens and words) stay in cache: twice as fast for the small sizes.
"""

import dataclasses
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import GPTNeoXForCausalLM

from quantascope.core.errors import DataError
from quantascope.core.progress import Advance, ignore_progress
from quantascope.lm.architecture import build_model
from quantascope.lm.schedule import learning_rate_factor, row_order
from quantascope.lm.suites import Member, Suite, work_per_token

__all__ = [
    "LogRow",
    "TrainingState",
    "pack_state",
    "start_training",
    "train",
    "unpack_state",
    "validation_loss",
]

_BLOCK_ROWS: Final = 128  # rows of logits at a time: 2 MB at 4,096 words, inside a core's caches
_ROWS_EVALUATED: Final = 16
_STEPS_BETWEEN_LOG_ROWS: Final = 10
_BFLOAT16_MIN_WIDTH: Final = 64  # below, casts cost what the products save


@dataclass(frozen=True)
class LogRow:
    """One line of the training log."""

    step: int
    train_loss_nats: float
    """Mean over the steps since the line before."""
    validation_loss_nats: float | None
    """None where it was not measured."""
    learning_rate: float


@dataclass(kw_only=True)
class TrainingState:
    """A model in training: all that the next step depends on."""

    suite: Suite
    member: Member
    model: GPTNeoXForCausalLM
    optimizer: torch.optim.AdamW
    bfloat16: bool
    step: int = 0
    log: list[LogRow] = field(default_factory=list)
    recent: list[float] = field(default_factory=list)
    """Losses of the steps since the last line of the log."""


def start_training(suite: Suite, member: Member, *, bfloat16: bool = False) -> TrainingState:
    """Build the state before the first step.

    Parameters
    ----------
    suite, member
        What is trained.
    bfloat16
        Multiply in bfloat16 where the model is wide enough for it to pay; weights, norms,
        softmax and optimiser stay float32.
    """
    model = build_model(suite, member)
    decayed = [w for w in model.parameters() if w.ndim > 1]
    others = [w for w in model.parameters() if w.ndim <= 1]
    groups: list[dict[str, Any]] = [
        {"params": decayed, "weight_decay": suite.weight_decay},
        {"params": others},
    ]
    optimizer = torch.optim.AdamW(
        groups,
        lr=member.size.learning_rate,
        betas=suite.betas,
        weight_decay=0.0,
        fused=True,
    )
    return TrainingState(
        suite=suite,
        member=member,
        model=model,
        optimizer=optimizer,
        bfloat16=bfloat16 and member.size.width >= _BFLOAT16_MIN_WIDTH,
    )


def train(
    state: TrainingState,
    tokens: NDArray[np.integer[Any]],
    *,
    validation: NDArray[np.integer[Any]],
    keep: Callable[[TrainingState], None] = lambda _: None,
    save: Callable[[TrainingState], None] = lambda _: None,
    save_every: int = 100,
    should_stop: Callable[[], bool] = lambda: False,
    advance: Advance = ignore_progress,
) -> bool:
    """Train from the state's step to the end, changing the state in place.

    Parameters
    ----------
    state
        Where training stands.
    tokens
        Training text, documents joined by their separator, axis ``token``.
    validation
        Held-out text in the same form.
    keep
        Called at the suite's checkpoints, after their line of the log.
    save
        Called every `save_every` steps, at the end, and when stopped.
    should_stop
        Asked before each step.
    advance
        Told of work done, in the units of ``Suite.work``.

    Returns
    -------
    bool
        Whether the last step was reached.

    Raises
    ------
    DataError
        If the loss is not finite, or the text shorter than one row.
    """
    suite, member = state.suite, state.member
    n_steps, checkpoints = suite.n_steps_of(member), suite.checkpoints_of(member)
    batch_rows = suite.batch_tokens // suite.context_length
    order = _row_order(state, tokens, n_wanted=n_steps * batch_rows)
    advance(state.step * suite.batch_tokens * work_per_token(state.member.size))
    while state.step < n_steps:
        if should_stop():
            save(state)
            return False
        rows = order[state.step * batch_rows : (state.step + 1) * batch_rows]
        _step(state, _gather_rows(tokens, rows, suite.context_length))
        if state.step in checkpoints or state.step % _STEPS_BETWEEN_LOG_ROWS == 0:
            _write_log(state, validation)
        if state.step in checkpoints:
            keep(state)
        if state.step % save_every == 0 or state.step == n_steps:
            save(state)
        advance(suite.batch_tokens * work_per_token(state.member.size))
    return True


def validation_loss(model: GPTNeoXForCausalLM, validation: NDArray[np.integer[Any]]) -> float:
    """Compute the mean loss [nat] on whole rows of held-out text, in float32."""
    length = model.config.max_position_embeddings
    n_rows = (len(validation) - 1) // length
    total = 0.0
    with torch.inference_mode():
        for start in range(0, n_rows, _ROWS_EVALUATED):
            rows = np.arange(start, min(start + _ROWS_EVALUATED, n_rows))
            inputs, targets = _gather_rows(validation, rows, length)
            hidden = model.base_model(input_ids=inputs).last_hidden_state
            total += float(_head_loss(model, hidden, targets, False)) * len(rows)
    return total / n_rows


def pack_state(state: TrainingState) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Name every tensor and number of the state, for one safetensors file and its metadata."""
    names = {id(weight): name for name, weight in state.model.named_parameters()}
    tensors = {f"weight.{name}": w.detach() for name, w in state.model.named_parameters()}
    for weight, moments in state.optimizer.state.items():
        for key in ("exp_avg", "exp_avg_sq", "step"):
            tensors[f"{key}.{names[id(weight)]}"] = moments[key]
    metadata = {
        "step": str(state.step),
        "bfloat16": str(int(state.bfloat16)),
        "log": json.dumps([dataclasses.astuple(row) for row in state.log]),
        "recent": json.dumps(state.recent),
    }
    return tensors, metadata


def unpack_state(
    suite: Suite,
    member: Member,
    *,
    tensors: dict[str, torch.Tensor],
    metadata: dict[str, str],
) -> TrainingState:
    """Rebuild the state that `pack_state` named."""
    state = start_training(suite, member)
    state.bfloat16 = metadata["bfloat16"] == "1"
    state.step = int(metadata["step"])
    state.log = [LogRow(*row) for row in json.loads(metadata["log"])]
    state.recent = json.loads(metadata["recent"])
    for name, weight in state.model.named_parameters():
        weight.data.copy_(tensors[f"weight.{name}"])
        if f"step.{name}" in tensors:
            state.optimizer.state[weight] = {
                key: tensors[f"{key}.{name}"].clone() for key in ("step", "exp_avg", "exp_avg_sq")
            }
    return state


def _step(state: TrainingState, batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    inputs, targets = batch
    suite = state.suite
    with torch.autocast("cpu", torch.bfloat16, enabled=state.bfloat16):
        hidden = state.model.base_model(input_ids=inputs).last_hidden_state
    loss = _head_loss(state.model, hidden, targets, state.bfloat16)
    if not math.isfinite(loss.item()):
        raise DataError(
            f"training {suite.name} {state.member.name}: loss is {loss.item()} at step "
            f"{state.step + 1}; lower its learning rate ({state.member.size.learning_rate:g})"
        )
    loss.backward()
    torch.nn.utils.clip_grad_norm_(state.model.parameters(), suite.clip_norm)
    state.step += 1
    for group in state.optimizer.param_groups:
        group["lr"] = _learning_rate(state)
    state.optimizer.step()
    state.optimizer.zero_grad()
    state.recent.append(loss.item())


def _learning_rate(state: TrainingState) -> float:
    factor = learning_rate_factor(
        state.step,
        n_steps=state.suite.n_steps_of(state.member),
        warmup_share=state.suite.warmup_share,
    )
    return state.member.size.learning_rate * factor


def _write_log(state: TrainingState, validation: NDArray[np.integer[Any]]) -> None:
    measured = state.step in state.suite.checkpoints_of(state.member)
    row = LogRow(
        step=state.step,
        train_loss_nats=float(np.mean(state.recent)),
        validation_loss_nats=validation_loss(state.model, validation) if measured else None,
        learning_rate=_learning_rate(state),
    )
    state.log.append(row)
    state.recent.clear()


def _row_order(
    state: TrainingState, tokens: NDArray[np.integer[Any]], *, n_wanted: int
) -> NDArray[np.int64]:
    """Order the rows that the member reads: of all the text, or of as much as its budget says."""
    suite, budget = state.suite, state.member.budget
    wanted = budget.n_unique if budget else len(tokens) - 1
    n_rows = wanted // suite.context_length
    if n_rows < 1 or wanted > len(tokens) - 1:
        raise DataError(
            f"training {suite.name}: {len(tokens)} tokens of text; at least "
            f"{max(wanted, suite.context_length) + 1} are needed"
        )
    return row_order(n_rows, n_wanted=n_wanted, seed=suite.data_seed)


def _gather_rows(
    tokens: NDArray[np.integer[Any]], rows: NDArray[np.integer[Any]], length: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cut rows of `length` tokens, and the same rows one token later, axes ``(row, pos)``."""
    cut = np.stack([tokens[row * length : (row + 1) * length + 1] for row in rows])
    ids = torch.from_numpy(cut.astype(np.int64))
    return ids[:, :-1], ids[:, 1:]


def _head_loss(
    model: GPTNeoXForCausalLM, hidden: torch.Tensor, targets: torch.Tensor, bfloat16: bool
) -> torch.Tensor:
    weight = model.get_output_embeddings().weight
    flat = hidden.reshape(-1, hidden.shape[-1]).float()
    loss: torch.Tensor = _BlockedCrossEntropy.apply(flat, weight, targets.reshape(-1), bfloat16)
    return loss


class _BlockedCrossEntropy(torch.autograd.Function):
    """Mean cross-entropy of ``hidden @ weight.T``; both gradients are made with the loss."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        targets: torch.Tensor,
        bfloat16: bool,
    ) -> torch.Tensor:
        dtype = torch.bfloat16 if bfloat16 else torch.float32
        wants_gradient = any(ctx.needs_input_grad)
        cast = weight.to(dtype)
        total = torch.zeros((), dtype=torch.float64)
        to_hidden, to_weight = torch.empty_like(hidden), torch.zeros_like(weight)
        for rows in torch.arange(len(hidden)).split(_BLOCK_ROWS):
            block = slice(int(rows[0]), int(rows[-1]) + 1)
            inputs, target = hidden[block].to(dtype), targets[block, None]
            logits = (inputs @ cast.T).float()
            top, wanted = logits.amax(1, keepdim=True), logits.gather(1, target)
            odds = logits.sub_(top).exp_()  # probabilities times their sum: one exp in all
            norm = odds.sum(1, keepdim=True)
            total += (norm.log() + top - wanted).sum(dtype=torch.float64)
            if wants_gradient:
                residual = odds.scatter_add_(1, target, -norm).to(dtype)
                to_hidden[block] = (residual @ cast).float() / norm
                to_weight += residual.T @ (inputs / norm).to(dtype)
        ctx.save_for_backward(to_hidden / len(hidden), to_weight / len(hidden))
        return (total / len(hidden)).float()

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[Any, ...]:
        to_hidden, to_weight = ctx.saved_tensors
        return upstream * to_hidden, upstream * to_weight, None, None
