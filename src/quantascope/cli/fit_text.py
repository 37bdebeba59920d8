"""What the command `fit` prints for a person: one law with its intervals, or a leaderboard."""

from typing import TYPE_CHECKING

from quantascope.cli.output import aligned, percent

if TYPE_CHECKING:
    from quantascope.laws.choosing.select import Leaderboard
    from quantascope.laws.fitting.result import LawFit

__all__ = ["board_text", "fit_text"]


def fit_text(found: "LawFit") -> str:
    """Lay out a fit: parameters, how good, how sure, how far, and what to mind."""
    rows = [("param", "value", f"{percent(found.confidence)} interval", "s.e.", "")]
    for name, value in found.params.items():
        lo, hi = found.intervals[name]
        note = "fixed" if name in found.fixed else found.not_identified.get(name, "")
        note = f"= {found.tied[name]}" if name in found.tied else note
        rows.append((name, f"{value:.6g}", f"[{lo:.5g}, {hi:.5g}]", f"{found.se[name]:.3g}", note))
    lines = [f"{found.law}: {found.formula}", aligned(rows)]
    goal = found.objective_name
    goal += f", delta {found.delta:g}" if goal in {"huber", "asymmetric"} else ""
    lines.append(f"objective {found.objective:.8g} ({goal}, sum over {found.n_points} points)")
    lines.append(
        f"{'converged' if found.converged else 'NOT CONVERGED'}; "
        f"{'identified' if found.identified else 'NOT IDENTIFIED'}; "
        f"{found.n_reached} of {found.n_starts} descents agree; scatter {found.scatter:.3g}"
    )
    lines.append(f"intervals: {found.interval_method}")
    if found.extrapolation:
        split = found.extrapolation["splits"][0]
        lines.append(
            f"extrapolation: RMSLE {found.extrapolation['rmsle']:.3g} "
            f"(plain power law {found.extrapolation['rmsle_power']:.3g}); "
            f"upper {split['share_held']:.0%} held out: {split['rmsle']:.3g}, "
            f"{split['reach']:.3g} times beyond"
        )
    return "\n".join(lines + [f"warning: {warning}" for warning in found.warnings])


def board_text(board: "Leaderboard") -> str:
    """Lay out a leaderboard, best extrapolation first."""
    rows = [("law", "free", "extrapolation", "10-fold", "AIC", "objective", "")]
    for row in board.rows:
        scores = (f"{row.extrapolation_rmsle:.3g}", f"{row.cv_rmsle:.3g}", f"{row.aic:.1f}")
        note = "" if row.converged else "not converged"
        rows.append((row.law, str(row.n_free), *scores, f"{row.objective:.6g}", note))
    lines = [
        f"{board.n_points} points; errors are RMSLE, extrapolation on the upper ends held out",
        aligned(rows),
    ]
    lines += [f"left out: {law} ({why})" for law, why in board.left_out.items()]
    return "\n".join(lines)
