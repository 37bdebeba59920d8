"""Laws of the measured error of a sketch."""

from dataclasses import replace

import numpy as np
import pytest

from quantascope.qdg.config import SketchConfig
from quantascope.qdg.fidelity import measure_fidelity, n_affordable
from tests.conftest import save_tiny_model


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    from transformers import AutoModelForCausalLM

    folder = save_tiny_model(tmp_path_factory.mktemp("fidelity") / "model")
    module = AutoModelForCausalLM.from_pretrained(folder).eval()
    rng = np.random.default_rng(0)
    sequences = [(rng.integers(0, 400, 24), np.array([5, 12, 20])) for _ in range(6)]
    return module, sequences


def test_error_falls_as_the_root_of_the_width(world):
    """16 times the width: a quarter of the error, within a factor of two for 153 pairs."""
    config = SketchConfig(input_dim=0)
    narrow, wide = (
        measure_fidelity(*world, config=replace(config, dim=dim)) for dim in (256, 4096)
    )
    assert narrow.n_preds == wide.n_preds == 18
    assert 2.0 < narrow.rmse / wide.rmse < 8.0
    assert narrow.rmse == pytest.approx(1 / 16, rel=0.5)  # 1/sqrt(256), random networks
    assert wide.correlation > narrow.correlation


def test_both_engines_measure_the_same_error(world):
    config = SketchConfig(dim=512)
    batched = measure_fidelity(*world, config=config)
    reference = measure_fidelity(*world, config=replace(config, engine="reference"))
    assert batched.rmse == pytest.approx(reference.rmse, rel=1e-3)


def test_nothing_is_measured_where_memory_does_not_suffice():
    assert n_affordable(1_000_000) == 32
    assert n_affordable(100_000_000) == 0
