"""Laws of revisions: which are chosen, what their names say, how a family lies on disk."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

from quantascope.core.errors import DataError
from quantascope.lm.architecture import count_params
from quantascope.lm.config import ModelsConfig
from quantascope.lm.models import equal_weights, resolve_models
from quantascope.lm.revisions import (
    PYTHIA_SHAPES,
    PYTHIA_STEPS,
    choose_revisions,
    facts_of_name,
    pythia_params,
    step_of,
)

PUBLISHED = {
    "70m": 18_915_328,
    "160m": 85_056_000,
    "410m": 302_311_424,
    "1b": 805_736_448,
    "1.4b": 1_208_602_624,
    "2.8b": 2_517_652_480,
    "6.9b": 6_444_163_072,
    "12b": 11_327_027_200,
}
"""Non-embedding parameters, arXiv:2304.01373, table 1."""


def neox(size: str) -> GPTNeoXForCausalLM:
    n_layers, width = PYTHIA_SHAPES[size]
    config = GPTNeoXConfig(
        vocab_size=50_304,
        hidden_size=width,
        num_hidden_layers=n_layers,
        num_attention_heads=8,
        intermediate_size=4 * width,
    )
    with torch.device("meta"):
        return GPTNeoXForCausalLM(config)


@pytest.mark.parametrize("size", PUBLISHED)
def test_parameters_of_pythia_are_the_published_ones(size):
    """By the formula, and as models of these shapes are counted when they are loaded."""
    assert pythia_params(size) == PUBLISHED[size]
    assert count_params(neox(size))[0] == PUBLISHED[size]


def test_the_smallest_has_the_published_total():
    assert count_params(neox("70m"))[1] == 70_426_624  # arXiv:2303.13506, appendix


def test_pythia_was_kept_at_154_steps():
    assert len(PYTHIA_STEPS) == 154  # arXiv:2304.01373, abstract and section 2
    assert PYTHIA_STEPS[:4] == (0, 1, 2, 4)
    assert PYTHIA_STEPS[-1] * 2_097_152 == 299_892_736_000


@given(
    first=st.integers(1, 142_000),
    factor=st.floats(1.01, 1e5),
    n=st.integers(2, 60),
)
def test_steps_in_logs_are_the_nearest_that_exist(first, factor, n):
    """Every target's nearest step is taken, nothing else, ascending and once."""
    last = min(int(first * factor) + 1, 143_000)
    there = [step for step in PYTHIA_STEPS if first <= step <= last]
    if not there:
        return
    found = [
        step_of(each)
        for each in choose_revisions(f"log:{first}..{last}:{n}", steps=PYTHIA_STEPS, name="m")
    ]
    assert found == sorted(set(found))
    assert set(found) <= set(there)
    for target in np.geomspace(first, last, n):
        distance = np.abs(np.log(np.array(there) / target)).min()
        assert np.abs(np.log(np.array(found) / target)).min() <= distance + 1e-12


def test_the_ends_are_taken_and_targets_with_one_nearest_step_count_once():
    found = choose_revisions("log:1..143000:24", steps=PYTHIA_STEPS, name="m")
    assert (found[0], found[-1], len(found)) == (
        "step1",
        "step143000",
        20,
    )  # 143000 ** (k / 23) for 24 k


@pytest.mark.parametrize(
    ("wanted", "kind", "said"),
    [
        ("log:0..100:3", ValueError, "0 < A < B"),
        ("log:100..10:3", ValueError, "0 < A < B"),
        ("log:1..10:1", ValueError, "N from 2"),
        ("log:1..10", ValueError, "log:A..B:N"),
        ("step1,,step2", ValueError, "between commas"),
        ("step1 step2", ValueError, "between commas"),
        ("step1500", DataError, "no checkpoint step1500; the nearest are step1000, step2000"),
        ("log:600..900:3", DataError, "no checkpoint within log:600..900:3; it has steps 0, 1"),
    ],
)
def test_what_is_not_understood_or_not_there_is_one_line(wanted, kind, said):
    with pytest.raises(kind, match=said) as caught:
        choose_revisions(wanted, steps=PYTHIA_STEPS, name="pythia-70m")
    assert "\n" not in str(caught.value)


def test_other_models_need_a_list():
    assert choose_revisions("step7,main,abc123", steps=None, name="m") == [
        "step7",
        "main",
        "abc123",
    ]
    with pytest.raises(DataError, match="which steps it was kept at is not known; list them"):
        choose_revisions("log:1..10:3", steps=None, name="OLMo")


@pytest.mark.parametrize(
    ("name", "revision", "expected"),
    [
        ("pythia-160m-seed3", "step1000", (1000, 2_097_152_000, 3, "160m")),
        ("pythia-70m-deduped", "step0", (0, 0, 0, "70m")),
        ("pythia-70m", None, (None, 299_892_736_000, 0, "70m")),
        ("pythia-70m-v0", "step1000", (1000, None, None, None)),
        ("pythia-13b", "main", (None, None, None, None)),
        ("mine-seed12", "step5", (5, None, 12, None)),
        ("gpt2", None, (None, None, None, None)),
    ],
)
def test_names_say_step_tokens_seed_and_size(name, revision, expected):
    facts = facts_of_name(name, revision)
    assert (facts.step, facts.n_tokens, facts.seed, facts.size) == expected


def folders(root: Path, name: str, *revisions: str) -> Path:
    for revision in revisions:
        (root / name / revision).mkdir(parents=True)
        (root / name / revision / "config.json").write_text("{}")
    return root / name


def test_a_folder_with_a_folder_a_revision_is_a_family(tmp_path):
    folder = folders(tmp_path, "pythia-160m-seed3", "step1", "step1000", "step143000", "main")
    config = ModelsConfig(model=(str(folder),), revisions="log:1..143000:9,main")
    found = resolve_models(config)
    assert [source.name for source in found] == [
        "pythia-160m-seed3@step1",
        "pythia-160m-seed3@step1000",
        "pythia-160m-seed3@step143000",
        "pythia-160m-seed3",
    ]
    assert {source.seed for source in found} == {3}
    assert [source.n_tokens for source in found][:2] == [2_097_152, 2_097_152_000]
    one = resolve_models(ModelsConfig(model=(f"{folder}@step1000",)))
    assert [source.location for source in one] == [str(folder / "step1000")]
    direct = resolve_models(ModelsConfig(model=(str(folder / "step1000"),)))
    assert direct == one
    assert resolve_models(ModelsConfig(model=(str(folder),)))[0].step is None


def test_a_hub_family_has_the_steps_that_pythia_has():
    config = ModelsConfig(
        model=("EleutherAI/pythia-70m", "EleutherAI/pythia-160m@step512"),
        revisions="log:100..2000:3",
    )
    found = [(source.name, source.step) for source in resolve_models(config)]
    assert found == [
        ("pythia-70m@step128", 128),
        ("pythia-70m@step512", 512),
        ("pythia-70m@step2000", 2000),
        ("pythia-160m@step512", 512),
    ]


@pytest.mark.parametrize(
    ("entry", "revisions", "kind", "said"),
    [
        ("kept", "", DataError, "no revision main; choose by --revisions or @REVISION from step1"),
        ("kept@step7", "", DataError, "no checkpoint step7; the nearest are step1, step1000"),
        ("kept@main", "", DataError, "no revision main"),
        ("plain", "step1", DataError, "one model, without a folder for each revision"),
        ("plain@step1", "", DataError, "one model, without a folder for each revision"),
        ("empty", "", DataError, "no config.json"),
        ("", "step1", ValueError, "empty name"),
    ],
)
def test_missing_revisions_on_disk_are_named(tmp_path, entry, revisions, kind, said):
    folders(tmp_path, "kept", "step1", "step1000")
    folders(tmp_path, "plain", ".")
    (tmp_path / "empty").mkdir()
    model = str(tmp_path / entry) if entry else ""
    with pytest.raises(kind, match=said) as caught:
        resolve_models(ModelsConfig(model=(model,), revisions=revisions))
    assert "\n" not in str(caught.value)


def test_revisions_of_a_suite_are_refused():
    with pytest.raises(ValueError, match="of a suite take steps=all"):
        resolve_models(ModelsConfig(revisions="step1"))


def test_what_is_known_of_pythias_first_step_is_said():
    assert "first step changes nothing" in equal_weights("pythia-70m@step0", "pythia-70m@step1")
    assert "wrong revision" in equal_weights("pythia-70m@step1", "pythia-70m@step1000")
