"""Tests of training: gradients, learning, resumption to the bit, the finished folder."""

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from quantascope.core.errors import DataError
from quantascope.lm.checkpoints import load_checkpoint
from quantascope.lm.config import ModelsConfig
from quantascope.lm.models import resolve_models
from quantascope.lm.suite_folder import SUITE_FILE, read_suite
from quantascope.lm.suite_text import join_documents, suite_text
from quantascope.lm.suite_training import train_named_suite, train_suite
from quantascope.lm.suites import Member, Size, Suite, TextBudget
from quantascope.lm.training import (
    _head_loss,
    _row_order,
    pack_state,
    start_training,
    train,
    unpack_state,
    validation_loss,
)

SIZES = (
    Size(name="0.003M", n_layers=1, width=16, n_heads=2, learning_rate=1e-2),
    Size(name="0.012M", n_layers=1, width=32, n_heads=2, learning_rate=1e-2),
)
SUITE = Suite(
    name="tiny",
    sizes=SIZES,
    n_tokens=24 * 128,
    vocab_size=300,
    context_length=16,
    batch_tokens=128,
    validation_tokens=320,
)
MEMBER = Member(size=SIZES[0], seed=0)


def _texts() -> list[str]:
    rng = np.random.default_rng(0)
    words = ["alpha", "beta", "gamma", "if x:", "return 7", "\n"]
    return [" ".join(rng.choice(words, 60)) for _ in range(60)]


def _make_text(suite: Suite):
    return suite_text(suite, _texts())


@pytest.fixture(scope="module")
def text():
    return _make_text(SUITE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    done = []
    out = tmp_path_factory.mktemp("suite") / "tiny"
    train_suite(SUITE, _make_text, out=out, workers=2, advance=done.append)
    assert sum(done) == SUITE.work
    return out


def _finish(state, text, **options) -> dict[str, torch.Tensor]:
    assert train(state, text.tokens, validation=text.validation, **options)
    return pack_state(state)[0]


def test_blocked_cross_entropy_has_the_loss_and_gradients_of_torch(monkeypatch):
    """Twin: the block is smaller than the batch, so a block left out would show."""
    monkeypatch.setattr("quantascope.lm.training._BLOCK_ROWS", 7)
    model = start_training(SUITE, MEMBER).model
    weight = model.get_output_embeddings().weight
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(2, 16, 16, generator=generator, requires_grad=True)
    targets = torch.randint(0, 300, (2, 16), generator=generator)
    ours = _head_loss(model, hidden, targets, False)
    logits = (hidden @ weight.T).reshape(-1, 300)
    plain = torch.nn.functional.cross_entropy(logits, targets.reshape(-1))
    torch.testing.assert_close(ours, plain)
    got = torch.autograd.grad(ours, [hidden, weight])
    expected = torch.autograd.grad(plain, [hidden, weight])
    torch.testing.assert_close(got, expected)


def test_training_learns(text):
    state = start_training(SUITE, MEMBER)
    _finish(state, text)
    assert state.log[0].validation_loss_nats > 0.9 * math.log(SUITE.vocab_size)
    assert state.log[-1].validation_loss_nats < 0.8 * state.log[0].validation_loss_nats
    assert state.log[-1].validation_loss_nats == validation_loss(state.model, text.validation)


def test_a_stopped_training_ends_with_the_same_bits(text):
    """Stopped at steps that fall between log rows, checkpoints and saves."""
    whole = _finish(start_training(SUITE, MEMBER), text)
    state = start_training(SUITE, MEMBER)
    for stop in (3, 13):
        reached = train(
            state,
            text.tokens,
            validation=text.validation,
            should_stop=lambda state=state, stop=stop: state.step == stop,
        )
        assert not reached
        tensors, metadata = pack_state(state)
        tensors = {name: tensor.clone() for name, tensor in tensors.items()}
        state = unpack_state(SUITE, MEMBER, tensors=tensors, metadata=metadata)
    resumed = _finish(state, text)
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_the_check_of_bits_sees_a_lost_moment(text):
    """Twin: forgetting the optimiser's state changes the end."""
    whole = _finish(start_training(SUITE, MEMBER), text)
    state = start_training(SUITE, MEMBER)
    train(state, text.tokens, validation=text.validation, should_stop=lambda: state.step == 13)
    state.optimizer.state.clear()
    assert not torch.equal(
        whole["weight.gpt_neox.embed_in.weight"],
        _finish(state, text)["weight.gpt_neox.embed_in.weight"],
    )


def test_bfloat16_training_follows_float32(text):
    wide = Member(
        size=Size(name="0.05M", n_layers=1, width=64, n_heads=4, learning_rate=1e-2), seed=0
    )
    losses = []
    for bfloat16 in (False, True):
        state = start_training(SUITE, wide, bfloat16=bfloat16)
        assert state.bfloat16 == bfloat16
        _finish(state, text)
        losses.append(state.log[-1].validation_loss_nats)
    assert losses[0] == pytest.approx(losses[1], abs=0.05)
    assert losses[0] != losses[1]


def test_divergence_is_an_error_that_names_the_learning_rate(text):
    state = start_training(SUITE, MEMBER)
    with torch.no_grad():
        next(state.model.parameters()).fill_(torch.nan)
    with pytest.raises(DataError, match="loss is nan at step 1; lower its learning rate"):
        _finish(state, text)


def test_too_little_text_is_an_error(text):
    with pytest.raises(DataError, match="17 are needed"):
        train(start_training(SUITE, MEMBER), text.tokens[:16], validation=text.validation)


def test_documents_are_joined_by_separators(text):
    joined = join_documents(text.tokenizer, ["alpha", "beta\n"])
    assert list(joined).count(0) == 2
    assert joined[0] == 0
    assert text.tokenizer.decode(joined.tolist(), skip_special_tokens=True) == "alphabeta\n"


def test_validation_text_is_not_trained_on(text):
    report = text.fingerprint.overlap(_texts()[:1])
    assert report.n_seen_documents == 0
    assert text.fingerprint.overlap(_texts()[-1:]).n_seen_documents == 1


def test_the_folder_holds_every_checkpoint_log_and_recipe(folder):
    found = read_suite(folder)
    assert found.suite == SUITE
    assert {(card.size, card.step) for card in found.cards} == {
        (size.name, step) for size in SIZES for step in SUITE.checkpoints_of(MEMBER)
    }
    assert all(card.n_tokens == card.step * SUITE.batch_tokens for card in found.cards)
    log = pq.read_table(folder / "training_log.parquet").to_pylist()
    assert {row["size"] for row in log} == {size.name for size in SIZES}
    assert not (folder / "work").exists()
    for card in found.cards:
        load_checkpoint(folder / card.file, suite=SUITE, card=card)


def test_cards_agree_with_the_log(folder):
    log = pq.read_table(folder / "training_log.parquet").to_pylist()
    logged = {(row["size"], row["step"]): row["validation_loss_nats"] for row in log}
    for card in read_suite(folder).cards:
        assert card.validation_loss_nats == logged[card.size, card.step]


def test_a_killed_training_leaves_the_same_folder(folder, tmp_path, monkeypatch):
    """A member stopped after its first save, the parent dead: the rerun ends with equal bytes."""
    out = tmp_path / "killed"
    from quantascope.lm import suite_training

    with monkeypatch.context() as patch:
        patch.setattr(suite_training, "_train_members", _interrupt_after_a_save)
        with pytest.raises(KeyboardInterrupt):
            train_suite(SUITE, _make_text, out=out)
    assert list((out / "work").glob("*.safetensors"))
    assert not (out / SUITE_FILE).exists()
    train_suite(SUITE, lambda _: pytest.fail("text made again"), out=out)
    for path in folder.rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (out / path.relative_to(folder)).read_bytes(), path.name


def _interrupt_after_a_save(suite: Suite, out: Path, **_) -> None:
    from quantascope.lm.suite_training import _train_member

    steps = iter(range(100))
    _train_member(suite, MEMBER, out, should_stop=lambda: next(steps) == 9)
    raise KeyboardInterrupt


def test_a_finished_folder_is_returned_and_another_recipe_refused(folder):
    assert train_suite(SUITE, _make_text, out=folder) == folder
    other = dataclasses.replace(SUITE, clip_norm=2.0)
    with pytest.raises(DataError, match="another recipe"):
        train_suite(other, _make_text, out=folder)


def test_an_error_in_a_worker_reaches_the_caller(tmp_path):
    wild = dataclasses.replace(
        SUITE,
        sizes=(dataclasses.replace(SIZES[0], learning_rate=1e30),),
        warmup_share=0.0,
        clip_norm=math.inf,
    )
    with pytest.raises(DataError, match="training tiny 0.003M-seed0: loss is"):
        train_suite(wild, _make_text, out=tmp_path)


def test_a_damaged_weights_file_is_named(folder, tmp_path):
    card = read_suite(folder).cards[-1]
    damaged = tmp_path / "copy.safetensors"
    content = bytearray((folder / card.file).read_bytes())
    content[-1] ^= 1
    damaged.write_bytes(content)
    with pytest.raises(DataError, match=r"copy\.safetensors: weights differ from the hash"):
        load_checkpoint(damaged, suite=SUITE, card=card)
    damaged.write_bytes(content[:100])
    with pytest.raises(DataError, match=r"copy\.safetensors: weights cannot be read"):
        load_checkpoint(damaged, suite=SUITE, card=card)


def test_an_unfinished_or_broken_folder_is_named(tmp_path):
    with pytest.raises(DataError, match="run it again"):
        read_suite(tmp_path)
    with pytest.raises(DataError, match=r"no suite\.json$"):
        read_suite(tmp_path / "missing")
    (tmp_path / SUITE_FILE).write_text(json.dumps({"suite": {}}))
    with pytest.raises(DataError, match="not a suite's recipe"):
        read_suite(tmp_path)


def test_an_unknown_suite_is_refused(tmp_path):
    with pytest.raises(ValueError, match="'large' unknown; choose from demo"):
        train_named_suite("large", out=tmp_path)


SERIES = dataclasses.replace(
    SUITE,
    sizes=SIZES[:1],
    budgets=(
        TextBudget(n_unique=512),
        TextBudget(n_unique=1024),
        TextBudget(n_unique=512, n_epochs=2),
    ),
    n_tokens=1024,
    seeds=(0, 1),
)


def test_members_of_a_data_series_read_their_own_text_as_often_as_they_should(text):
    rows_read = {}
    for member in SERIES.members:
        state = start_training(SERIES, member)
        order = _row_order(state, text.tokens, n_wanted=SERIES.n_steps_of(member) * 8)
        rows_read[member.name] = np.unique(order, return_counts=True)
    wanted = (("0.000512Mx1", 32, 1), ("0.001024Mx1", 64, 1), ("0.000512Mx2", 32, 2))
    for name, n_rows, times in wanted:
        rows, counts = rows_read[f"0.003M-{name}-seed1"]
        assert rows.tolist() == list(range(n_rows)), name
        assert set(counts.tolist()) == {times}


def test_a_data_series_keeps_the_end_of_each_run_and_says_what_it_read(tmp_path):
    fewer = dataclasses.replace(SERIES, budgets=SERIES.budgets[::2], seeds=(1,))
    out = train_suite(fewer, _make_text, out=tmp_path / "series", workers=2)
    found = {
        (source.name, source.step, source.n_tokens, source.n_unique)
        for source in resolve_models(ModelsConfig(suite=str(out), steps="all"))
    }
    assert found == {
        ("tiny-0.003M-0.000512Mx1", 4, 512, 512),
        ("tiny-0.003M-0.000512Mx2", 8, 1024, 512),
    }
    assert "budget" in pq.read_table(out / "training_log.parquet").column_names


def test_a_budget_beyond_the_text_is_refused(text):
    member = Member(size=SIZES[0], seed=0, budget=TextBudget(n_unique=10**6))
    with pytest.raises(DataError, match="at least 1000001 are needed"):
        train(start_training(SERIES, member), text.tokens, validation=text.validation)
