"""Laws of scoring: each score is what its definition gives, one question at a time."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from transformers import AutoModelForCausalLM

from quantascope.core.errors import DataError
from quantascope.core.rng import stream
from quantascope.lm.loading import load_tokenizer
from quantascope.lm.models import ModelSource
from quantascope.lm.probes.items import ProbeItem, parse_probes
from quantascope.lm.probes.scoring import SCORES, encode_items, score_items


@pytest.fixture(scope="module")
def model(tiny_family):
    torch.manual_seed(0)
    module = AutoModelForCausalLM.from_pretrained(tiny_family[0])
    for weight in module.parameters():
        weight.data.mul_(8)  # far from even odds, so that scores differ
    return module.eval()


@pytest.fixture(scope="module")
def tokenizer(tiny_family):
    source = ModelSource(name="m", kind="folder", location=str(tiny_family[0]))
    return load_tokenizer(source).tokenizer


def items() -> list[ProbeItem]:
    rng = stream(0, "probe items of the tests")
    words = [
        "the",
        "quick",
        "brown",
        "fox",
        "jumps",
        "over",
        "lazy",
        "dogs",
        "item",
        "number",
        "def",
        "return",
    ]
    found = []
    for i in range(30):
        picked = [" " + words[int(k)] for k in rng.choice(len(words), size=8, replace=False)]
        n_wrong, n_right = int(rng.integers(4)), int(rng.integers(1, 3))
        found.append(
            ProbeItem(
                skill=f"s{i % 3}",
                context="".join(picked[6:]) * int(rng.integers(1, 6)),
                answers=tuple(picked[:n_right]),
                wrong=tuple(text * 2 for text in picked[2 : 2 + n_wrong]),
                line=i + 1,
            )
        )
    return found


def by_hand(model, context: list[int], option: list[int]) -> tuple[float, bool]:
    """Log-likelihood of one answer, and whether greed writes it, token by token."""
    ids, total, greedy = list(context), 0.0, True
    for token in option:
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids])).logits[0, -1].double().numpy()
        total += float(log_softmax(logits)[token])
        greedy &= int(np.argmax(logits)) == token
        ids.append(token)
    return total, greedy


def test_scores_are_those_of_one_question_after_the_other(model, tokenizer):
    encoded = encode_items(items(), tokenizer, max_length=64, bos_id=None)
    found = score_items(model, encoded, batch_tokens=200)
    assert found.shape == (30, len(SCORES))
    for row, item in zip(found, encoded, strict=True):
        options = [by_hand(model, item.context.tolist(), o.tolist()) for o in item.options]
        log_p = np.array([each[0] for each in options])
        best = int(log_p[: item.n_right].argmax())
        expected = [-log_p[best], -log_p[best] / len(item.options[best])]
        expected.append(float(any(greedy for _, greedy in options[: item.n_right])))
        if len(options) > item.n_right:
            p = np.exp(log_p - np.logaddexp.reduce(log_p))
            truth = np.arange(len(p)) < item.n_right
            expected.append(float(log_p.argmax() < item.n_right))
            expected.append((1 - p[truth].sum()) ** 2 + (p[~truth] ** 2).sum())
        else:
            expected += [np.nan, np.nan]
        # single precision: 1e-5 of a loss of some tens of nats
        np.testing.assert_allclose(row, expected, rtol=1e-4, atol=1e-4)
    assert 0 < np.nanmean(found[:, SCORES.index("choice")]) < 1
    assert np.isnan(found[:, 3]).any()


@pytest.mark.parametrize("batch_tokens", [1, 64, 5000])
def test_batches_change_nothing_but_rounding(batch_tokens, model, tokenizer):
    encoded = encode_items(items(), tokenizer, max_length=64, bos_id=None)
    found = score_items(model, encoded, batch_tokens=batch_tokens)
    np.testing.assert_allclose(found, score_items(model, encoded), rtol=1e-4, atol=1e-4)
    turned = score_items(model, encoded[::-1])[::-1]
    np.testing.assert_allclose(found, turned, rtol=1e-4, atol=1e-4)


def test_a_model_that_knows_the_answer_has_perfect_scores(tiny_family, tokenizer):
    """The unembedding is bent so that one token wins everywhere."""
    module = AutoModelForCausalLM.from_pretrained(tiny_family[0]).eval()
    item = ProbeItem(skill="s", context="the quick", answers=(" fox",), wrong=(" lazy", " dogs"))
    (encoded,) = encode_items([item], tokenizer, max_length=64, bos_id=None)
    assert len(encoded.options[0]) == 1
    token = int(encoded.options[0][0])
    head = module.get_output_embeddings()
    with torch.no_grad():
        hidden = module.base_model(
            input_ids=torch.tensor([encoded.context.tolist()])
        ).last_hidden_state[0, -1]
        head.weight[:] = 0
        head.weight[token] = 100 * hidden / hidden.norm() ** 2
    np.testing.assert_allclose(score_items(module, [encoded])[0], [0, 0, 1, 1, 0], atol=1e-6)
    other = ProbeItem(skill="s", context="the quick", answers=(" lazy",), wrong=(" fox",))
    (turned,) = encode_items([other], tokenizer, max_length=64, bos_id=None)
    found = score_items(module, [turned])[0]
    np.testing.assert_allclose(found[2:], [0, 0, 2], atol=1e-6)
    assert found[0] == pytest.approx(100, rel=0.01)


def test_white_space_at_the_end_of_a_context_belongs_to_the_answer(tokenizer):
    apart = ProbeItem(skill="s", context="the quick", answers=(" fox",))
    joined = ProbeItem(skill="s", context="the quick ", answers=("fox",))
    one, two = encode_items([apart, joined], tokenizer, max_length=64, bos_id=None)
    assert np.array_equal(one.context, two.context)
    assert np.array_equal(one.options[0], two.options[0])
    assert one.at_boundary
    split = ProbeItem(skill="s", context="the qu", answers=("ick",))
    assert not encode_items([split], tokenizer, max_length=64, bos_id=None)[0].at_boundary


def test_long_contexts_keep_their_end_and_say_so(model, tokenizer):
    item = ProbeItem(skill="s", context="the lazy quick fox " * 40, answers=(" fox jumps",))
    (whole,) = encode_items([item], tokenizer, max_length=10_000, bos_id=None)
    (cut,) = encode_items([item], tokenizer, max_length=64, bos_id=7)
    assert cut.context[0] == 7
    n_kept = 64 + 1 - len(cut.options[0]) - 1
    assert np.array_equal(cut.context[1:], whole.context[-n_kept:])
    assert cut.n_cut == len(whole.context) - n_kept
    assert np.isfinite(score_items(model, [cut])[0, :3]).all()
    with pytest.raises(DataError, match=r"line 4: an answer of \d+ tokens leaves no room"):
        encode_items([ProbeItem(skill="s", context="a", answers=("fox " * 99,), line=4)],
                     tokenizer, max_length=64, bos_id=None)  # fmt: skip


def test_the_string_of_a_special_token_is_ordinary_text(tokenizer):
    line = b'{"skill": "s", "context": "<|endoftext|>", "answers": [" <|endoftext|>"]}'
    (encoded,) = encode_items(parse_probes(line, name="x").items, tokenizer, max_length=64,
                              bos_id=None)  # fmt: skip
    assert len(encoded.context) > 1
    assert 0 not in encoded.context


def test_damaged_weights_are_named(tiny_family, tokenizer):
    module = AutoModelForCausalLM.from_pretrained(tiny_family[0]).eval()
    module.get_output_embeddings().weight.data[:] = float("nan")
    encoded = encode_items(items(), tokenizer, max_length=64, bos_id=None)
    with pytest.raises(DataError, match="model broken: loss is NaN"):
        score_items(module, encoded, name="broken")
