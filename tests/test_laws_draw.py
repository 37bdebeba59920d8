"""Figures of fits: framed by the points, dashed beyond them, also for a law of one's own."""

from dataclasses import replace

import numpy as np
import pytest

from quantascope.core.errors import DataError
from quantascope.core.rng import stream
from quantascope.laws import LAWS, LawFit, find_law, fit
from quantascope.plots.figures import figure

X = np.geomspace(1e6, 1e9, 16)
FLOOR = {"E": 1.7, "A": 400.0, "alpha": 0.34}


def noisy(seed: int = 0, size: float = 0.01) -> dict:
    noise = np.exp(size * stream(seed, "draw").normal(size=len(X)))
    return {"x": X, "loss": find_law("floor")(FLOOR, x=X) * noise}


def drawn(found: LawFit) -> dict:
    """Draw a fit and give what the axes then hold."""
    with figure() as (whole, ax):
        found.plot(ax=ax)
        whole.canvas.draw()  # warnings of limits and ticks are errors
        lines = ax.get_lines()
        points = [line.get_xydata() for line in lines if line.get_marker() == "o"]
        return {
            "solid": [line.get_xydata() for line in lines if line.get_linestyle() == "-"],
            "dashed": [line.get_xydata() for line in lines if line.get_linestyle() == "--"],
            "points": np.concatenate(points),
            "frame": (*ax.get_xlim(), *ax.get_ylim()),
            "labels": (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()),
        }


def test_points_lie_in_the_frame_and_the_dashed_part_beyond_them():
    """A third of three decades is one: the dashed part reaches ten times beyond."""
    seen = drawn(fit("floor", noisy(), meaning={"x": "FLOP"}))
    left, right, bottom, top = seen["frame"]
    x, y = seen["points"].T
    assert left < x.min()
    assert (y > bottom).all()
    assert (y < top).all()
    assert seen["solid"][0][:, 0].max() == pytest.approx(1e9)
    assert seen["dashed"][0][[0, -1], 0] == pytest.approx([1e9, 1e10])
    assert right > 1e10
    assert seen["labels"][:2] == ("FLOP", "loss [nat]")


def test_a_curve_that_runs_off_does_not_flatten_the_points():
    """The frame is at most twice as high as the points with their bars, plus margins."""
    found = fit("floor", noisy())
    wild = replace(found, params={**found.params, "alpha": 3.0})  # falls to E at once
    _, _, bottom, top = drawn(wild)["frame"]
    bars = np.quantile(np.abs(wild.residuals()), 0.95) * np.sqrt(16 / 13)
    height = np.ptp(np.log(noisy()["loss"])) + 2 * bars
    assert np.log(top / bottom) < 1.08 * 2 * height + 1e-9


@pytest.mark.parametrize(
    "loss", [np.full(16, 2.0), 2 + 1e-4 * np.arange(16)[::-1], 10.0 ** -np.arange(16.0)]
)
def test_any_range_of_losses_has_ticks(loss):
    left, right, bottom, top = drawn(fit("power", {"x": X, "loss": loss}))["frame"]
    assert 0 < bottom < top
    assert 0 < left < right


def test_raw_residuals_have_a_linear_axis_with_zeros():
    loss = np.where(X < 3e8, noisy()["loss"] - 1.7, 0.0)
    seen = drawn(fit("floor", {"x": X, "loss": np.maximum(loss, 0)}, objective="lsq"))
    assert seen["frame"][2] < 0 < seen["frame"][3]


def test_points_of_two_inputs_stand_at_their_residual_from_their_curve():
    law = find_law("chinchilla")
    draw = stream(1, "draw")
    n, d = 10 ** draw.uniform(7, 10, 60), 10 ** draw.uniform(9, 11, 60)
    truth = {"E": 1.8, "A": 480.0, "B": 2100.0, "alpha": 0.35, "beta": 0.37}
    loss = law(truth, N=n, D=d) * np.exp(0.01 * draw.normal(size=60))
    meaning = {"N": "total parameters", "D": "$ tokens"}
    found = fit("chinchilla", {"N": n, "D": d, "loss": loss}, meaning=meaning)
    seen = drawn(found)
    assert len(seen["solid"]) == 5
    assert seen["labels"][0] == "N [total parameters]"
    # each point lies at one of the residuals from one of the curves, drawn through 60 places
    sizes = np.abs(found.residuals())
    gaps = [
        np.abs(np.log(y) - np.interp(np.log(x), *np.log(curve.T)))
        for x, y in seen["points"]
        for curve in seen["solid"]
    ]
    nearest = np.abs(np.reshape(gaps, (60, 5, 1)) - sizes).min(axis=(1, 2))
    assert nearest.max() < 1e-3


def test_a_law_of_ones_own_predicts_profiles_plots_and_comes_back():
    law = replace(LAWS["floor"], name="mine")
    found = fit(law, noisy())
    twin = fit("floor", noisy())
    at = {"x": [1e10]}
    assert found.predict(at) == twin.predict(at)
    assert found.profile("alpha").lo == twin.profile("alpha").lo
    assert drawn(found)["frame"] == drawn(twin)["frame"]
    again = LawFit.from_json(found.to_json(), law=law)
    assert again.predict(at) == found.predict(at)
    with pytest.raises(DataError, match="pass a law of your own"):
        LawFit.from_json(found.to_json())


def test_a_fit_without_points_says_so():
    with pytest.raises(ValueError, match="does not keep its points"):
        replace(fit("floor", noisy()), points=None).plot(ax=None)


def test_one_group_is_refused():
    with pytest.raises(ValueError, match="one group holds all points"):
        fit("floor", noisy(), group=["a"] * 16)
