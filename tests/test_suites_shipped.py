"""Tests of the suite that ships with the package: complete, small, held out, monotone in size."""

from dataclasses import asdict

import numpy as np
import pyarrow.parquet as pq
import pytest

from quantascope.lm.checkpoints import load_checkpoint
from quantascope.lm.config import ModelsConfig
from quantascope.lm.fingerprint import Fingerprint
from quantascope.lm.loading import load_model, load_tokenizer, shared_tokenizer
from quantascope.lm.models import resolve_models, suite_path
from quantascope.lm.sources.sampler import sampler_documents
from quantascope.lm.suite_folder import read_suite
from quantascope.lm.suites import SUITES
from quantascope.lm.training import validation_loss
from quantascope.pipeline.loss_columns import check_cards

DEMO = suite_path("demo")


def test_demo_is_the_recipe_of_the_source_code():
    assert read_suite(DEMO).suite == SUITES["demo"]


def test_weights_take_at_most_ten_megabytes_and_nothing_is_pickled():
    files = [path for path in DEMO.rglob("*") if path.is_file()]
    weights = [path for path in files if path.suffix == ".safetensors"]
    assert sum(path.stat().st_size for path in weights) <= 10_000_000
    assert {path.suffix for path in files} == {".safetensors", ".json", ".parquet"}
    assert {str(path.relative_to(DEMO)) for path in weights} == {
        card.file for card in read_suite(DEMO).cards
    }


def test_every_weights_file_is_the_one_its_card_describes():
    demo = read_suite(DEMO)
    for card in demo.cards:
        load_checkpoint(demo.path / card.file, suite=demo.suite, card=card)


def test_validation_loss_falls_with_size_and_with_step():
    demo = read_suite(DEMO)
    by_size = [c.validation_loss_nats for c in demo.cards if c.step == demo.suite.n_steps]
    assert len(by_size) == 5
    assert np.all(np.diff(by_size) < 0)
    stepped = {card.size for card in demo.cards if card.step < demo.suite.n_steps}
    assert stepped
    for size in stepped:
        by_step = [card.validation_loss_nats for card in demo.cards if card.size == size]
        assert len(by_step) >= 4
        assert np.all(np.diff(by_step) < 0)


def test_the_log_ends_with_the_losses_of_the_cards():
    demo = read_suite(DEMO)
    log = pq.read_table(DEMO / "training_log.parquet").to_pylist()
    logged = {(row["size"], row["step"]): row["validation_loss_nats"] for row in log}
    for card in demo.cards:
        assert card.validation_loss_nats == logged[card.size, card.step]


def test_the_sampler_was_held_out_of_training():
    """One in a hundred lines may recur by chance (headings, stock phrases)."""
    report = Fingerprint.load(DEMO / "fingerprint.parquet").overlap(
        document.text for document in sampler_documents()
    )
    assert report.share_of_lines_seen < 0.01
    assert report.n_seen_documents <= 0.01 * report.n_documents


def test_sources_are_the_sizes_in_order_with_one_tokenizer():
    sources = resolve_models(ModelsConfig())
    assert [source.name for source in sources] == [
        f"demo-{size.name}" for size in SUITES["demo"].sizes
    ]
    assert load_tokenizer(sources[0]).bos_id is None
    assert shared_tokenizer(sources).tokenizer.get_vocab_size() == 4096
    loaded = [load_model(source) for source in sources[:2]]
    check_cards([asdict(card) for _, card in loaded])
    assert [card.n_params for _, card in loaded] == [6_592, 25_472]
    assert loaded[0][1].n_tokens == SUITES["demo"].n_steps * SUITES["demo"].batch_tokens


def test_all_steps_have_names_of_their_own():
    names = [source.name for source in resolve_models(ModelsConfig(steps="all"))]
    assert len(set(names)) == len(names) > 5
    assert any("@step" in name for name in names)


def test_a_folder_can_stand_for_the_name():
    by_path = resolve_models(ModelsConfig(suite=str(DEMO)))
    assert by_path == resolve_models(ModelsConfig(suite="demo"))


@pytest.mark.parametrize("size", ["0.006M", "0.098M"])
def test_rounding_to_float16_cost_nothing_that_matters(size):
    """Weights keep 11 bits; losses of the stored model on sampler text stay finite and sane."""
    demo = read_suite(DEMO)
    card = [card for card in demo.cards if card.size == size][-1]
    model = load_checkpoint(demo.path / card.file, suite=demo.suite, card=card).float()
    tokenizer = load_tokenizer(resolve_models(ModelsConfig())[0]).tokenizer
    text = next(document.text for document in sampler_documents())
    tokens = np.array(tokenizer.encode(text).ids)
    assert validation_loss(model, tokens) < np.log(demo.suite.vocab_size) - 1


def test_of_a_suite_some_steps_and_the_last_of_each_member():
    every = resolve_models(ModelsConfig(steps="all"))
    assert {m.name for m in every if m.step in (16, 256) or "@" not in m.name} == {
        m.name for m in resolve_models(ModelsConfig(steps="16,256"))
    }


@pytest.mark.parametrize(
    ("steps", "said"), [("17", "no checkpoint at step 17"), ("a", "give last")]
)
def test_steps_that_are_not_there_are_named(steps, said):
    with pytest.raises(ValueError, match=said):
        resolve_models(ModelsConfig(steps=steps))
