"""What `family run` prints for people."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quantascope.reader.family import FamilyFindings

__all__ = ["print_family"]


def print_family(found: "FamilyFindings") -> None:
    """Print a row a size, the fit, the classes, and what cannot be said."""
    from quantascope.cli.output import aligned

    print(
        f"{found.n_checkpoints} checkpoints of {len(found.sizes)} size(s), "
        f"{found.n_predictions:,} predictions"
    )
    head = ("size", "runs", "last step", "tokens a parameter", "loss [nat]", "sd of runs", "solved")
    rows: list[tuple[str, ...]] = [(*head, "")]
    for row in found.sizes.to_dict("records"):
        rows.append(
            (
                f"{row['n_params']:,.0f}",
                f"{row['n_runs']:.0f}",
                _number(row["step"], ",.0f"),
                _number(row["tokens_per_param"], ",.1f"),
                f"{row['mean_loss_nats']:.4f}",
                _number(row["sd_nats"], ".4f"),
                f"{row['share_solved']:.4f} [{row['share_lo']:.4f}, {row['share_hi']:.4f}]",
                "",
            )
        )
    print(aligned(rows))
    print("solved: share of losses below 0.018 bit; its interval counts predictions, not seeds")
    fit = found.fit
    if fit.identified:
        print(
            f"alpha_N = {-fit.exponent:.4f}, 95 % from {-fit.hi:.4f} to {-fit.lo:.4f} "
            f"({fit.n_points} sizes, R squared {fit.r2:.4f}, no floor; {fit.method})"
        )
    for seed, picks in found.picks.items():
        words = ", ".join(f"{n:,} {rule}" for rule, n in picks.items())
        print(f"seed {seed}: the paper's rules call {words} (of the sample)")
    if found.classes is not None:
        words = ", ".join(f"{n:,} {name}" for name, n in found.classes.items())
        print(f"tested against seeds: {words}")
    if found.clusters is not None:
        print(
            f"{found.clusters['n_changed']} of {found.clusters['n_clusters']} clusters change with "
            "size (`quantascope emergence` says when)"
        )
    for line in found.noticed:
        print(f"noticed: {line}")
    for line in found.not_said:
        print(f"cannot be said: {line}")


def _number(value: Any, form: str) -> str:
    return "-" if value is None or value != value else format(value, form)  # noqa: PLR0124
