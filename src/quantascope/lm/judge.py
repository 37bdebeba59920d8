"""A causal language model that labels groups of texts, and says how well a label fits a text.

Lines of text enter, as `quantascope.lm.label_text` writes them; labels and scores leave. Labels are
decoded greedily, so that equal weights and prompts give equal labels.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import GenerationConfig, PreTrainedModel, StoppingCriteria, StoppingCriteriaList

from quantascope.core.errors import DataError
from quantascope.lm.label_text import (
    PROMPTS,
    label_prompt,
    likelihood_prompt,
    one_label,
    yes_no_prompt,
)
from quantascope.lm.loading import ModelTokenizer, load_model, load_tokenizer, torch_dtype
from quantascope.lm.losses import document_losses
from quantascope.lm.models import ModelCard, ModelSource
from quantascope.lm.tokenizer import plain

__all__ = ["LanguageModelJudge", "Score"]

Score = Literal["likelihood", "yes-no"]

_NEW_TOKENS: Final = 24
_BATCH_TOKENS: Final = {"cpu": 1024, "cuda": 32_768}


class LanguageModelJudge:
    """Labels by one model.

    Parameters
    ----------
    source
        The model, as `quantascope.lm.models.resolve_models` gives it.
    device, dtype
        As for `quantascope.lm.loading.load_model`.
    score
        How a label is held against a text: ``likelihood`` is its log-probability behind the text,
        ``yes-no`` the log-odds of yes when the model is asked whether it fits.

    Raises
    ------
    DataError
        If the model or its tokenizer cannot be loaded.
    """

    def __init__(
        self,
        source: ModelSource,
        *,
        device: str = "cpu",
        dtype: str = "float32",
        score: Score = "likelihood",
    ) -> None:
        self._dtype, self._score = torch_dtype(dtype, device=device), score
        self._batch_tokens = _BATCH_TOKENS["cpu" if device == "cpu" else "cuda"]
        # products in half precision are autocast, the weights stay as they are scored elsewhere
        self._module, self._card = _loaded(source, device)
        self._tokenizer: ModelTokenizer = load_tokenizer(source)
        self._plain = plain(self._tokenizer.tokenizer)
        self._most = self._card.context_length

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What labels and scores depend on, for a manifest."""
        return {
            "model": self._card.name,
            "weights_sha256": self._card.weights_sha256,
            "tokenizer_sha256": self._tokenizer.sha256,
            "n_params": self._card.n_params,
            "dtype": str(self._dtype).removeprefix("torch."),
            "score": self._score,
            "decoding": "greedy",
            "new_tokens": _NEW_TOKENS,
            "prompts": {name: PROMPTS[name] for name in ("label", self._score)},
        }

    def write(self, lines: Sequence[str]) -> str:
        """Say in one line what texts have in common; empty where the model says nothing.

        Raises
        ------
        DataError
            If the prompt with these texts is longer than the model's context.
        """
        ids = self._prefix + self._ids(label_prompt(lines))
        if len(ids) + _NEW_TOKENS > self._most:
            raise DataError(
                f"model {self._card.name}: {len(ids)} tokens of prompt and {_NEW_TOKENS} of answer "
                f"exceed its context of {self._most}; show fewer contexts"
            )
        rows = torch.tensor([ids], device=self._module.device)
        with torch.inference_mode(), self._products():
            module: Any = self._module  # its own types do not say that it generates
            found = module.generate(
                rows,
                attention_mask=torch.ones_like(rows),
                stopping_criteria=StoppingCriteriaList([_LineEnd(self._plain, len(ids))]),
            )
        answer = self._plain.decode(found[0, len(ids) :].tolist(), skip_special_tokens=True)
        return one_label(answer)

    def score(self, label: str, lines: Sequence[str]) -> NDArray[np.float64]:
        """Say how well a label fits each of some texts [nat].

        Raises
        ------
        DataError
            If a loss is not finite.
        """
        if self._score == "yes-no":
            asked = [self._ids(yes_no_prompt(line, label)) for line in lines]
            yes, no = (self._log_probabilities(asked, self._ids(word)) for word in (" yes", " no"))
            return yes - no
        asked = [self._ids(likelihood_prompt(line)) for line in lines]
        return self._log_probabilities(asked, self._ids(f" {label}"))

    @property
    def _prefix(self) -> list[int]:
        bos = self._tokenizer.bos_id
        return [] if bos is None else [bos]

    def _ids(self, text: str) -> list[int]:
        """Encode as characters: what looks like a special token in a text is none."""
        return list(self._plain.encode(text, add_special_tokens=False).ids)

    def _log_probabilities(
        self, prompts: Sequence[list[int]], end: list[int]
    ) -> NDArray[np.float64]:
        """Sum the log-probabilities [nat] of one end behind each prompt, cut on the left."""
        room = self._most - len(self._prefix)
        end = end[: room // 2]
        rows = [np.array([*prompt[-(room - len(end)) :], *end]) for prompt in prompts]
        offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
        losses = document_losses(
            self._module,
            np.concatenate(rows),
            offsets,
            max_length=min(self._most, max(map(len, rows)) + len(self._prefix)),
            bos_id=self._tokenizer.bos_id,
            dtype=self._dtype,
            batch_tokens=self._batch_tokens,
            name=self._card.name,
        )
        ends = offsets[1:, None] - np.arange(len(end), 0, -1)
        return -losses[ends].sum(axis=1, dtype=np.float64)

    def _products(self) -> torch.autocast:
        kind = torch.device(self._module.device).type
        return torch.autocast(kind, self._dtype, enabled=self._dtype != torch.float32)


class _LineEnd(StoppingCriteria):
    """Stops at the first line end of the answer."""

    def __init__(self, tokenizer: Any, start: int) -> None:
        self._tokenizer, self._start = tokenizer, start

    def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:  # noqa: ARG002  transformers'
        text = self._tokenizer.decode(input_ids[0, self._start :].tolist())
        done = "\n" in text.lstrip()
        return torch.full((len(input_ids),), done, dtype=torch.bool, device=input_ids.device)


def _loaded(source: ModelSource, device: str) -> tuple[PreTrainedModel, ModelCard]:
    module, card = load_model(source, device=device)
    ends = module.config.eos_token_id
    first = ends[0] if isinstance(ends, list) and ends else ends
    # a model's own settings may sample, or forbid to repeat words
    module.generation_config = GenerationConfig(
        do_sample=False,
        num_beams=1,
        max_new_tokens=_NEW_TOKENS,
        eos_token_id=ends,
        pad_token_id=0 if first is None else first,
    )
    return module, card
