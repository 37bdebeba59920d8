"""Model suites as data: families of GPT-NeoX models that differ in size, seed and step alone.

All members of a suite see the same tokens in the same order (the design of Pythia,
arXiv 2304.01373, and of the Quantization Model, arXiv 2303.13506, appendix on language models).
This module holds no torch, so that listing suites costs nothing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from quantascope.lm.schedule import log_spaced_steps

__all__ = ["SUITES", "Member", "Size", "Suite", "suite_from_dict"]


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
class Member:
    """One training run of a suite."""

    size: Size
    seed: int

    @property
    def name(self) -> str:
        """Name inside the suite, also the stem of its files."""
        return f"{self.size.name}-seed{self.seed}"


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A recipe: everything that decides what training gives, but for the machine's rounding."""

    name: str
    sizes: tuple[Size, ...]
    n_tokens: int
    """Tokens each member sees; more than the text has means several epochs."""
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
        """Steps of each member."""
        return self.n_tokens // self.batch_tokens

    @property
    def checkpoints(self) -> tuple[int, ...]:
        """Steps that are kept: powers of two from 1, and the last."""
        return log_spaced_steps(self.n_steps)

    @property
    def members(self) -> tuple[Member, ...]:
        """Every size with every seed, the costliest first so that no core idles at the end."""
        sizes = sorted(self.sizes, key=lambda size: -size.n_block_weights)
        return tuple(Member(size=size, seed=seed) for size in sizes for seed in self.seeds)

    @property
    def work(self) -> int:
        """Total that progress runs up to, in tokens weighted by `work_per_token`."""
        return sum(
            self.n_steps * self.batch_tokens * work_per_token(member.size)
            for member in self.members
        )


def work_per_token(size: Size) -> int:
    """Weigh one training token of this size, so that time left is a fair estimate.

    Measured: 30 us a token for the smallest models, and 0.09 us more for 1,000 weights.
    """
    return 3 + size.n_block_weights // 110_000


def suite_from_dict(fields: Mapping[str, Any]) -> Suite:
    """Rebuild a suite from ``dataclasses.asdict`` after a round trip through JSON."""
    plain = dict(fields)
    plain["sizes"] = tuple(Size(**size) for size in plain["sizes"])
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
            name="study",
            sizes=_SIZES,
            n_tokens=33_000_000,
            n_chars=120_000_000,
        ),
    )
)
