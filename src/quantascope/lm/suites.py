"""Model suites as data: families of GPT-NeoX models that differ in size, seed and step alone.

All members of a suite see the same tokens in the same order (the design of Pythia,
arXiv 2304.01373, and of the Quantization Model, arXiv 2303.13506, appendix on language models).
This module holds no torch, so that listing suites costs nothing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from quantascope.lm.schedule import log_spaced_steps

__all__ = ["SUITES", "Member", "Size", "Suite", "TextBudget", "suite_from_dict"]


@dataclass(frozen=True, kw_only=True)
class Size:
    """One architecture of a suite."""

    name: str
    """Short name: the number of weights in the blocks' matrices, 12 n_layers width^2."""
    n_layers: int
    width: int
    n_heads: int
    learning_rate: float
    """Peak learning rate of AdamW, tuned for this size (docs/lablog.md)."""

    @property
    def n_block_weights(self) -> int:
        """Weights in the blocks' matrices, 12 n_layers width^2 (biases and norms come on top)."""
        return 12 * self.n_layers * self.width**2


@dataclass(frozen=True, kw_only=True)
class TextBudget:
    """How much text one member reads, where members differ in that."""

    n_unique: int
    """Distinct tokens: the first so many of the suite's text."""
    n_epochs: int = 1
    """How often they are read."""

    @property
    def n_tokens(self) -> int:
        """Tokens read in all."""
        return self.n_unique * self.n_epochs

    @property
    def name(self) -> str:
        """Distinct tokens and how often: ``0.5Mx8``."""
        return f"{self.n_unique / 1e6:g}Mx{self.n_epochs}"


@dataclass(frozen=True, kw_only=True)
class Member:
    """One training run of a suite."""

    size: Size
    seed: int
    budget: TextBudget | None = None
    """None reads the whole text for the suite's number of tokens."""

    @property
    def name(self) -> str:
        """Name inside the suite, also the stem of its files."""
        budget = f"-{self.budget.name}" if self.budget else ""
        return f"{self.size.name}{budget}-seed{self.seed}"


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A recipe: everything that decides what training gives, but for the machine's rounding."""

    name: str
    sizes: tuple[Size, ...]
    n_tokens: int
    """Tokens each member sees; more than the text has means several epochs."""
    budgets: tuple[TextBudget, ...] = ()
    """For a series over data: every size is trained on each, instead of on `n_tokens`."""
    seeds: tuple[int, ...] = (0,)
    """Seeds of the initialisation; the order of the data is the same for all."""
    corpus: str = "mixture"
    """``mixture``: permissive sources by domain; ``local``: the standard library and packages."""
    n_chars: int = 40_000_000
    """Training and validation text wanted [character]."""
    vocab_size: int = 4096
    context_length: int = 256
    batch_tokens: int = 2048
    """Tokens of one step."""
    validation_tokens: int = 131_072
    warmup_share: float = 0.02
    """Share of the steps over which the learning rate rises linearly."""
    weight_decay: float = 0.1
    betas: tuple[float, float] = (0.9, 0.95)
    clip_norm: float = 1.0
    data_seed: int = 0
    """Seed of the text mixture and of the order of its rows."""

    @property
    def n_steps(self) -> int:
        """Steps of a member without a budget of its own."""
        return self.n_tokens // self.batch_tokens

    def n_steps_of(self, member: Member) -> int:
        """Give the steps of a member."""
        return member.budget.n_tokens // self.batch_tokens if member.budget else self.n_steps

    def checkpoints_of(self, member: Member) -> tuple[int, ...]:
        """List the steps at which a member is kept: powers of two from 1, and the last.

        In a series over data the last alone: a run on less text is no earlier state of a run on
        more, since the learning rate of each falls to zero at its own end.
        """
        last = self.n_steps_of(member)
        return (last,) if member.budget else log_spaced_steps(last)

    @property
    def members(self) -> tuple[Member, ...]:
        """Every size with every budget and seed, the costliest first so that no core idles."""
        budgets = self.budgets or (None,)
        found = [
            Member(size=size, seed=seed, budget=budget)
            for size in self.sizes
            for budget in budgets
            for seed in self.seeds
        ]
        return tuple(sorted(found, key=lambda one: (-self.work_of(one), -one.size.n_block_weights)))

    def work_of(self, member: Member) -> int:
        """Give the work of a member, in tokens weighted by `work_per_token`."""
        return self.n_steps_of(member) * self.batch_tokens * work_per_token(member.size)

    @property
    def work(self) -> int:
        """Total that progress runs up to."""
        return sum(self.work_of(member) for member in self.members)


def work_per_token(size: Size) -> int:
    """Weigh one training token of this size, so that time left is a fair estimate.

    Measured: 30 us a token for the smallest models, and 0.09 us more for 1,000 weights.
    """
    return 3 + size.n_block_weights // 110_000


def suite_from_dict(fields: Mapping[str, Any]) -> Suite:
    """Rebuild a suite from ``dataclasses.asdict`` after a round trip through JSON."""
    plain = dict(fields)
    plain["sizes"] = tuple(Size(**size) for size in plain["sizes"])
    plain["budgets"] = tuple(TextBudget(**each) for each in plain.get("budgets", ()))
    tuples = {key: tuple(plain[key]) for key in ("seeds", "betas")}
    return Suite(**(plain | tuples))


_SIZES: Final = (
    Size(name="0.006M", n_layers=2, width=16, n_heads=2, learning_rate=3e-2),
    Size(name="0.014M", n_layers=2, width=24, n_heads=2, learning_rate=2.5e-2),
    Size(name="0.025M", n_layers=2, width=32, n_heads=2, learning_rate=2e-2),
    Size(name="0.098M", n_layers=2, width=64, n_heads=4, learning_rate=1.3e-2),
    Size(name="0.33M", n_layers=3, width=96, n_heads=6, learning_rate=7e-3),
    Size(name="0.92M", n_layers=3, width=160, n_heads=5, learning_rate=5e-3),
    Size(name="1.8M", n_layers=4, width=192, n_heads=6, learning_rate=4e-3),
    Size(name="7.4M", n_layers=6, width=320, n_heads=10, learning_rate=2e-3),
)


def _sizes(*names: str) -> tuple[Size, ...]:
    return tuple(size for size in _SIZES if size.name in names)


def _budgets(*n_unique: int) -> tuple[TextBudget, ...]:
    return tuple(TextBudget(n_unique=n) for n in n_unique)


def _named(*suites: Suite) -> Iterator[tuple[str, Suite]]:
    return ((suite.name, suite) for suite in suites)


SUITES: Final[dict[str, Suite]] = dict(
    _named(
        Suite(
            name="demo",
            sizes=_sizes("0.006M", "0.025M", "0.098M", "0.33M", "0.92M"),
            n_tokens=10_000_000,
        ),
        Suite(
            name="demo-quick",
            sizes=_sizes("0.006M", "0.025M", "0.098M", "0.33M"),
            n_tokens=1_500_000,
            corpus="local",
            n_chars=5_000_000,
            vocab_size=2048,
            batch_tokens=1024,
            validation_tokens=32_768,
        ),
        Suite(
            name="small",
            sizes=_sizes("0.006M", "0.014M", "0.025M", "0.098M", "0.33M", "0.92M"),
            n_tokens=18_000_000,
            n_chars=70_000_000,
            seeds=(0, 1, 2),
        ),
        Suite(
            name="data",
            sizes=_sizes("0.098M"),
            budgets=_budgets(250_000, 500_000, 1_000_000, 2_000_000, 4_000_000, 8_000_000),
            n_tokens=8_000_000,
            n_chars=70_000_000,
            seeds=(0, 1, 2),
        ),
        Suite(
            name="epochs",
            sizes=_sizes("0.098M"),
            budgets=tuple(
                TextBudget(n_unique=4_000_000 // n, n_epochs=n) for n in (1, 2, 4, 8, 16, 32, 64)
            ),
            n_tokens=4_000_000,
            n_chars=70_000_000,
            seeds=(0, 1, 2),
        ),
        Suite(
            name="study",
            sizes=_SIZES,
            n_tokens=33_000_000,
            n_chars=120_000_000,
        ),
    )
)
