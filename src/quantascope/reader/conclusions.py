"""What may and may not be concluded from a run, assembled from the run's own flags."""

from typing import Any

import pandas as pd

from quantascope.reader.run import Run

__all__ = ["TOPICS", "conclusions"]

TOPICS = (
    "The text", "The predictions", "The sketches", "Scaling", "The clusters", "Against chance",
    "Ranks", "What a cluster is",
)  # fmt: skip
"""What each sentence of `conclusions` is about."""

_STABLE = 0.7  # adjusted Rand index above which a clustering is called stable across its reruns
_MIN_LINES = 20  # compared lines below which nothing is said about shared lines
_SEEN_SHARE = 0.01  # share of long lines above which a text counts as partly seen


def conclusions(run: Run) -> list[str]:
    """Say in sentences what the run supports.

    Parameters
    ----------
    run
        A run whose stages have all finished.

    Returns
    -------
    list[str]
        Plain sentences; first what holds, then what does not.
    """
    return [
        _held_out(run),
        _selection(run),
        _fidelity(run),
        _scaling(run),
        _clustering(run),
        _coherence(run),
        _slope(run),
        _meaning(run),
    ]


def _meaning(run: Run) -> str:
    text = (
        "Clusters are groups of predictions with similar gradients. They are called clusters, not "
        "quanta: agreement with known quanta has not been shown on this text, "
    )
    if run.default_clustering == "merged":
        return (
            f"{text}and rests on tests with known skills: in those, common skills (from about 1 % "
            "of the predictions on) that a model had learned as rules were found whole, rare ones "
            "were joined to others, lists learned by heart could be split into their entries, and "
            "of one model that had learned less, next tokens were found. Entries, skills and "
            "families of skills all form groups; which of them a cluster is, is not known."
        )
    return f"{text}and clusters that share a next token may reflect that token alone."


def _held_out(run: Run) -> str:
    seen = run.facts("corpus").get("seen")
    if not seen:
        return "It is not known whether the models saw this text in training."
    share = float(seen["share_of_lines_seen"])
    lines = f"{share:.1%} of their long lines, by a sample of one in sixteen, occur there"
    if seen["n_whole_documents"] == 0 and seen["n_lines"] < _MIN_LINES:
        return (
            "None of the documents was trained on as a whole, but their lines are too short to "
            "tell whether they were trained on in another cut."
        )
    if seen["n_whole_documents"] == 0 and share < _SEEN_SHARE:
        return (
            f"The text was held out: none of its {seen['n_documents']:,} documents was trained "
            f"on; {lines}, as licence headers and common phrases do."
        )
    return (
        f"Part of this text was seen in training: {seen['n_whole_documents']:,} of "
        f"{seen['n_documents']:,} documents whole, {seen['n_seen_documents']:,} by half of their "
        f"long lines or more; {lines}. Losses are too low by an unknown amount, and clusters may "
        "show memory rather than skill."
    )


def _selection(run: Run) -> str:
    facts = run.facts("selection")
    text = (
        f"{facts['n_preds']:,} predictions with a loss below {facts['threshold_nats']:.3g} nat "
        f"under {facts['model']} were selected."
    )
    if facts["threshold_raised"]:
        text += (
            " Too few were below the wanted threshold, so it was raised: some of these predictions "
            "are only partly learned."
        )
    if facts["n_preds"] < facts["n_wanted"]:
        text += f" {facts['n_wanted']:,} were wanted; more text would give more."
    return text


def _fidelity(run: Run) -> str:
    facts = run.facts("sketch")
    return _sketch_error(facts) + _engine_error(facts.get("engine_agreement"))


def _engine_error(found: dict[str, Any] | None) -> str:
    if found is None:
        return ""
    return (
        " These gradients are cut at each prediction's own position: on "
        f"{found['n_preds']} predictions their cosines correlate with those of exact gradients at "
        f"{found['correlation']:.2f}, and {found['neighbour_overlap']:.0%} of the ten nearest "
        "neighbours are the same."
    )


def _sketch_error(facts: dict[str, Any]) -> str:
    if facts.get("exact"):
        return "Gradients were compared whole, so there is no error of a sketch."
    found = facts.get("fidelity")
    if found is None:
        return "The error of the sketches was not measured on this run."
    return (
        f"On {found['n_preds']} predictions of this run, sketched cosines differ from exact ones "
        f"by {found['rmse']:.3f} (root mean square; largest {found['max_error']:.3f}; correlation "
        f"{found['correlation']:.2f})."
    )


def _scaling(run: Run) -> str:
    if "alpha_N" not in run.fits.index:
        return "With one size of model there is no scaling exponent."
    fit = run.fits.loc["alpha_N"]
    if not fit["identified"]:
        return f"No scaling exponent is given: {fit['reason']}."
    return (
        f"Over {fit['n_points']} sizes the mean loss falls with exponent {fit['estimate']:.3f} "
        f"[{fit['lo']:.3f}, {fit['hi']:.3f}] ({fit['method']}). Each size is one trained model a "
        "seed, so the interval holds the scatter about a pure power law, not that of a law with a "
        "floor."
    )


def _clustering(run: Run) -> str:
    row = run.clusterings.set_index("clustering").loc[run.default_clustering]
    stability = float(row["stability"])
    verdict = "stable" if stability >= _STABLE else "not stable: counts and members will change"
    return (
        f"The default clustering ({run.default_clustering}) has {row['n_clusters']} clusters; "
        "reruns with other seeds and on subsamples agree with adjusted Rand index "
        f"{stability:.2f}, which is {verdict}. Other resolutions give other counts."
    )


def _coherence(run: Run) -> str:
    clusters: pd.DataFrame = run.clusters
    n = int((~clusters["coherent"].astype(bool)).sum())
    if not n:
        return "Every cluster is more alike inside than random groups of its size."
    return (
        f"{n} of {len(clusters)} clusters are no more alike inside than random groups of their "
        "size; they are marked incoherent."
    )


def _slope(run: Run) -> str:
    fit = run.fits.loc["envelope_slope"]
    if not fit["identified"]:
        return (
            f"No slope is given for the rank-frequency envelope: {fit['reason']}. "
            f"{_calibration(run)}"
        )
    text = (
        f"The rank-frequency envelope has slope {fit['estimate']:.2f} "
        f"[{fit['lo']:.2f}, {fit['hi']:.2f}] over ranks {fit['range_lo']:.0f} to "
        f"{fit['range_hi']:.0f}. As read it is not calibrated: on a toy with known slope -1.4 this "
        "estimator reads about -1.1 (arXiv:2303.13506, appendix)."
    )
    return f"{text} {_calibration(run)}"


def _bound(value: float) -> str:
    """Print an end of an interval."""
    return f"{value:.2f}" if abs(value) < float("inf") else "open"


def _calibration(run: Run) -> str:
    """Say what planted worlds make of the slope, and whether the methods agree."""
    rows = run.fits[run.fits.index.str.startswith("calibrated_")]
    known = rows[rows["calibrated"].astype(bool)]
    if known.empty:
        why = f": {rows['reason'].iloc[0]}" if len(rows) else ""
        return f"No calibrated slope{why}. So none may be compared with a scaling exponent yet."
    each = ", ".join(
        f"{row['estimate']:.2f} [{_bound(row['lo'])}, {_bound(row['hi'])}] "
        f"({name.removeprefix('calibrated_')}{', ' * bool(row['reason'])}{row['reason']})"
        for name, row in known.iterrows()
    )
    text = (
        f"Calibrated on planted worlds with the same similarities, size falls with rank at {each}; "
        "90 % intervals."
    )
    if known["lo"].max() > known["hi"].min():
        return (
            f"{text} They do not overlap: these clusters are unlike planted groups, and none holds."
        )
    return f"{text} That holds as far as these clusters are like planted groups."
