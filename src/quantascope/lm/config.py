"""Configs of the stages that touch text and models; no torch here, so that status needs none."""

from dataclasses import dataclass

__all__ = ["CorpusConfig", "LossesConfig", "ModelsConfig", "ProbesConfig", "SelectionConfig"]


@dataclass(frozen=True, kw_only=True)
class ModelsConfig:
    """Which models a run looks at: a suite of ours, or any causal language models."""

    suite: str = "demo"
    """Suite name (see ``SUITES``) or a folder written by ``suite train``; unused with `model`."""
    model: tuple[str, ...] = ()
    """Hub ids with optional ``@REVISION``, folders, or ``.gguf`` files; a family if several."""
    steps: str = "last"
    """Which checkpoints of a suite: ``last``, ``all``, or steps beside the last: ``16,256``."""
    revisions: str = ""
    """Which checkpoints of each `model` without ``@REVISION``: ``log:1..143000:24``,
    ``step1000,step2000,main``; empty takes the one that has no revision."""


@dataclass(frozen=True, kw_only=True)
class CorpusConfig:
    """Which text, and how it is cut into documents of tokens."""

    source: tuple[str, ...] = ("sampler",)
    """Files, folders, ``hf:ID``, ``planted:NAME``, or named sources: sampler, local, debian."""
    text_column: str = "text"
    """Column or key that holds the text in .parquet and .jsonl."""
    n_tokens: int | None = None
    """Stop after this many tokens; none reads everything."""
    max_mb: float = 200.0
    """Read at most this much text [MB]."""
    max_length: int | None = None
    """Longest document [token]; none takes the models' shortest context, at most 1,024."""
    cut: str = "split"
    """Documents (of at most 4,000 characters) are ``split`` into pieces, or ``truncate``d."""
    seed: int = 0
    """Seed of the order in which documents of a mixed source are read."""


@dataclass(frozen=True, kw_only=True)
class LossesConfig:
    """How losses are computed, or where they come from."""

    source: str = "models"
    """``models`` computes them; ``tracker``: logged while training; else the Parquet file that
    they are imported from."""
    models_table: str = ""
    """CSV or Parquet file that describes imported models; empty: the losses' own file does."""
    device: str = "cpu"
    dtype: str = "float32"
    """``float32``, ``bfloat16``, or ``auto`` (bfloat16 where the processor multiplies it fast)."""
    batch_tokens: int = 768
    """Padded tokens in one forward pass; halved when memory runs out. More is no faster on CPUs."""
    shard_tokens: int = 131_072
    """Tokens computed between two points of resumption."""
    keep_downloads: bool = True
    """Whether weights that a run fetched from the hub stay in the cache behind it."""


@dataclass(frozen=True, kw_only=True)
class SelectionConfig:
    """Which predictions go on to their gradients."""

    model: str = ""
    """Name of the model whose loss is thresholded; empty means the largest."""
    n: int = 10_000
    """Number of predictions wanted."""
    threshold_nats: float = 0.1
    """Keep predictions below this loss [nat]; raised to a quantile where too few qualify."""
    copied_ngram: int = 3
    """Drop targets whose n-gram occurred earlier in the document: 3, 2, or 0 for none."""
    repeated_context: int = 16
    """Drop targets whose preceding tokens, this many, an earlier candidate had too; 0 for none."""
    max_per_document: int = 64
    """Cap on targets of one document."""
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class ProbesConfig:
    """Which skills a family is asked for."""

    sets: tuple[str, ...] = ()
    """Names of bundled sets (see ``quantascope.lm.probes``) or files of JSON lines."""
    sha256: str = ""
    """Of what the sets held when they were asked for: an edited set makes the stage stale."""
    device: str = "cpu"
    dtype: str = "float32"
    batch_tokens: int = 768
    """Padded tokens in one forward pass; halved when memory runs out."""
    shard_items: int = 2000
    """Items scored between two points of resumption."""
