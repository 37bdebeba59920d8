"""Laws of the run's config: round trip, clear refusals, what a stage depends on."""

import pytest

from quantascope.pipeline.config import (
    RunConfig,
    dump_config,
    load_config,
    parse_config,
    set_values,
    stage_config,
)
from quantascope.store.schema import KINDS


def test_a_written_config_reads_back_the_same(tmp_path):
    config = set_values(
        RunConfig(),
        [
            "models.model=['a', 'b']",
            "corpus.n_tokens=5000",
            "clusters.resolutions=[1, 2.5]",
            "selection.threshold_nats=1",
        ],
    )
    (tmp_path / "run.toml").write_text(dump_config(config))
    assert load_config(tmp_path / "run.toml") == config
    assert config.selection.threshold_nats == 1.0
    assert config.models.model == ("a", "b")


def test_a_bare_word_is_a_string_and_a_scalar_a_tuple_of_one():
    config = set_values(RunConfig(), ["corpus.source=my/text.txt", "models.suite=small"])
    assert config.corpus.source == ("my/text.txt",)
    assert config.models.suite == "small"


@pytest.mark.parametrize(
    ("assignment", "named"),
    [
        ("selection.n", "stage.key=value"),
        ("n=3", "stage.key=value"),
        ("selektion.n=3", "selektion"),
        ("selection.m=3", "selection.m"),
        ("selection.n=many", "selection.n"),
        ("selection.n=true", "selection.n"),
        ("selection.n=1.5", "selection.n"),
        ("clusters.spectral=1", "clusters.spectral"),
        ("graph.block=0", "graph.block"),
        ("clusters.null_shuffles=0", "at least 1"),
        ("clusters.n_clusters=[1, 'x']", "clusters.n_clusters"),
    ],
)
def test_a_bad_assignment_is_named_in_one_line(assignment, named):
    with pytest.raises(ValueError, match=named) as caught:
        set_values(RunConfig(), [assignment])
    assert "\n" not in str(caught.value)


def test_a_bad_file_is_named(tmp_path):
    path = tmp_path / "run.toml"
    with pytest.raises(ValueError, match="no such config file"):
        load_config(path)
    for text in ("[selection\n", "selection = 3", "[selection]\nn = 'x'"):
        path.write_text(text)
        with pytest.raises(ValueError, match="run.toml"):
            load_config(path)


def test_every_stage_has_a_config_and_only_its_own_tables_matter():
    base = RunConfig()
    assert all(isinstance(stage_config(base, kind), dict) for kind in KINDS)
    other = set_values(base, ["graph.n_neighbors=9"])
    changed = [kind for kind in KINDS if stage_config(base, kind) != stage_config(other, kind)]
    assert changed == ["graph"]


def test_none_resets_an_optional_value():
    config = set_values(RunConfig(), ["corpus.n_tokens=10"])
    assert set_values(config, ["corpus.n_tokens=none"]).corpus.n_tokens is None
    assert parse_config({}) == RunConfig()
