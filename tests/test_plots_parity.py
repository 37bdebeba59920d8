"""Figures 2 and A4: tables laid out from planted sweeps, and panels that show them."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from quantascope.core.errors import DataError
from quantascope.pipeline.parity import SweepTables
from quantascope.pipeline.parity_families import families_of
from quantascope.pipeline.parity_summary import measure_exponents, predict_finite
from quantascope.plots.figures import figure
from quantascope.plots.parity import plot_exponents, plot_scaling
from quantascope.recipes.parity_scaling import QUICK, run
from quantascope.recipes.parity_tables import exponent_tables, read_published, scaling_tables
from quantascope.theory.finite import truncated_grid
from quantascope.theory.resources import QuantaModel, predict_loss
from quantascope.toys.parity import ParityTask
from quantascope.toys.runs import ParityRun, ParitySweep
from quantascope.toys.training import Schedule

STEPS = (100, 200, 500, 1000, 10_000)
SMALL = {"n_tasks": 4, "n": 8, "k": 2}
LOG2 = np.log(2.0)


def planted(runs, loss):
    """Make the tables of a sweep whose mean losses [nat] are a function of run and step."""
    sweep = ParitySweep(runs=tuple(runs), schedule=Schedule(n_steps=STEPS[-1], n_evals=len(STEPS)))
    index = [(place, step) for place in range(len(runs)) for step in STEPS]
    values = np.array([loss(runs[place], step) for place, step in index])
    names = ("run", "step", "loss_validation_nats", "loss_test_nats")
    place, step = np.array(index).T
    curves = pa.table(dict(zip(names, (place, step, values, values), strict=True)))
    n_tasks = runs[0].task.n_tasks
    subtasks = {
        "run": np.repeat(place, n_tasks),
        "step": np.repeat(step, n_tasks),
        "subtask": np.tile(np.arange(1, n_tasks + 1), len(place)),
        "loss_nats": np.repeat(values, n_tasks),
    }
    rows = pa.table({"run": np.arange(len(runs))})
    return SweepTables(sweep=sweep, runs=rows, curves=curves, subtasks=pa.table(subtasks))


def over_widths(task, widths=(9, 20, 50), **settings):
    return [ParityRun(task=task, width=width, **settings) for width in widths]


def power(run, step):
    """Fall as the -.3 of parameters and of samples, and as the -.2 of steps."""
    return LOG2 * (run.n_params / 1000) ** -0.3 * max(run.n_samples, 1) ** -0.3 * step**-0.2


def test_a_planted_power_law_is_fitted_and_lies_on_its_own_points():
    runs = over_widths(ParityTask(**SMALL))
    tables = scaling_tables([planted(runs, power)])
    exponents = dict(zip(tables["exponents"]["name"], tables["exponents"]["estimate"], strict=True))
    assert exponents["alpha_N"] == pytest.approx(0.3, abs=1e-9)
    assert exponents["alpha_S"] == pytest.approx(0.2, abs=1e-9)
    table = tables["parameters"]
    assert table["amount"].tolist() == [run.n_params for run in runs]
    assert table["fitted_bits"] == pytest.approx(table["loss_bits"], rel=1e-9)
    steps = tables["steps"]
    inside = (steps["amount"] >= 0.005 * STEPS[-1]) & (steps["amount"] <= 0.15 * STEPS[-1])
    assert np.isfinite(steps["fitted_bits"]).tolist() == inside.tolist()
    assert len(tables["steps_subtasks"]["subtask"]) == len(STEPS) * 4


def test_published_numbers_stand_beside_their_own_setting_alone():
    paper = scaling_tables([planted(over_widths(ParityTask()), power)])
    assert len(paper["published"]["amount"]) == 6
    assert 0.378 in paper["exponents"]["published"]
    for other in (ParityTask(n_tasks=50), ParityTask(n_tasks=50, alpha=0.45)):
        tables = scaling_tables([planted(over_widths(other), power)])
        assert not len(tables["published"]["amount"])
        assert np.isnan(tables["exponents"]["published"]).all()


def test_the_finite_set_is_drawn_with_the_constant_that_made_the_losses():
    """Losses of the theory with C = 700 give C back, and the prediction lies on them."""
    task = ParityTask(n_tasks=50, n=20, k=2)
    model = QuantaModel(alpha=0.4, n_tasks=50, b=LOG2, capacity=700.0)

    def theory(run, _):
        return float(predict_loss(model, "N", np.array([float(run.n_params)]))[0])

    tables = planted(over_widths(task, widths=(20, 40, 80, 160)), theory)
    found = next(each for each in measure_exponents(tables) if each.name == "alpha_N")
    assert found.constant == pytest.approx(700.0, rel=1e-3)
    family = families_of(tables)[0]
    predicted = predict_finite(found, task, family.amounts)
    assert predicted == pytest.approx(family.losses[0], rel=1e-3)
    wrong = predict_finite(found, task, 2 * family.amounts)
    assert (np.abs(wrong / family.losses[0] - 1) > 0.1).all()


def test_of_several_families_the_one_with_most_points_is_shown():
    task = ParityTask(**SMALL)
    runs = over_widths(task, n_samples=100) + over_widths(task, n_samples=200)
    runs += over_widths(task, n_samples=400) + over_widths(task, widths=(20,), n_samples=800)
    tables = scaling_tables([planted(runs, power)])
    assert tables["samples"]["amount"].tolist() == [100, 200, 400, 800]


def test_the_recipe_stands_on_a_finished_folder_and_without_samples(tmp_path):
    """A second run trains nothing: the folder of another sweep is refused, its own is read."""
    target = {"mean loss at width 5 [bit]": (1.0, 1.0, "any")}
    config = replace(QUICK, widths=(5, 8, 13), samples=(), n_steps=40, n_evals=4, targets=target)
    first = run(config, seed=0, work=tmp_path)
    trained = (tmp_path / "widths" / "sweep.json").stat().st_mtime_ns
    again = run(config, seed=0, work=tmp_path)
    assert (tmp_path / "widths" / "sweep.json").stat().st_mtime_ns == trained
    assert again.checks == first.checks
    assert set(first.tables) >= {"parameters", "steps", "exponents"}
    assert "samples" not in first.tables
    with pytest.raises(DataError, match="another sweep"):
        run(replace(config, n_steps=41), seed=0, work=tmp_path)


def test_published_samples_lie_on_the_published_grid():
    table = read_published("parity_samples.csv")
    assert set(table["n_samples"]) <= set(truncated_grid(10_000, 5_000_000, 25))
    assert (np.diff(table["loss_bits"].reshape(8, 2), axis=0) < 0).all()
    assert (np.diff(table["loss_bits"].reshape(8, 2), axis=1) < 0).all()


def test_figure_2_has_a_column_for_each_resource_with_emergence_below():
    tables = scaling_tables([planted(over_widths(ParityTask()), power)])
    with figure() as (drawn, ax):
        first = plot_scaling(tables, ax=ax)
        panels = drawn.axes
        assert len(panels) == 5  # the last is the bar of colours
        labels = {text.get_text() for text in first.get_legend().get_texts()}
        assert {"measured here", "published", "power law, fitted"} <= labels
        assert "published" not in {t.get_text() for t in panels[1].get_legend().get_texts()}
        assert (
            first.get_title() == "alpha_N = 0.300 [0.300, 0.300]\npublished 0.378, widths 9 to 300"
        )
        assert first.get_xlabel()
        assert panels[2].collections[0].get_array().shape == (60, 3)


def test_figure_a4_has_a_panel_for_each_exponent():
    runs = [run for alpha in (0.2, 0.7) for run in over_widths(ParityTask(alpha=alpha, **SMALL))]
    found = exponent_tables(measure_exponents(planted(runs, power)))
    chosen = {name: found[name] for name in ("alpha_N", "alpha_S")}
    with figure() as (drawn, ax):
        plot_exponents(chosen, ax=ax, published=read_published("parity_exponents.csv"))
        assert len(drawn.axes) == 2
        assert [panel.get_ylabel() for panel in drawn.axes] == ["alpha_N", "alpha_S"]
