"""Sources of text: files, folders, hub data sets, and three that need nothing from the user."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from quantascope.lm.config import CorpusConfig
from quantascope.lm.documents import Document, Rejects, unique_documents
from quantascope.lm.planted.config import PREFIX as _PLANTED
from quantascope.lm.planted.source import planted_documents
from quantascope.lm.sources.files import file_documents, folder_documents
from quantascope.lm.sources.hub import hub_documents
from quantascope.lm.sources.local import local_documents
from quantascope.lm.sources.mixture import mixture_documents
from quantascope.lm.sources.sampler import sampler_documents

__all__ = ["NAMED_SOURCES", "open_source", "open_sources"]

NAMED_SOURCES: Final[dict[str, Callable[[int, Rejects[str]], Iterator[Document]]]] = {
    "sampler": lambda seed, _: sampler_documents(seed=seed),
    "local": lambda seed, rejects: local_documents(seed=seed, rejects=rejects),
    "debian": lambda seed, _: mixture_documents(seed=seed),
}
"""Sources known by name: text in the package, on every machine, from `make system-corpus`."""

_HUB: Final = "hf:"


def open_source(
    spec: str,
    *,
    text_column: str = "text",
    max_mb: float = 200.0,
    seed: int = 0,
    rejects: Rejects[str] | None = None,
) -> Iterator[Document]:
    """Open one source of documents; duplicates and empty pieces are dropped.

    Parameters
    ----------
    spec
        A file (.txt, .jsonl, .parquet, source code), a folder of such files, ``hf:ID`` with
        ``@REVISION`` if wanted, ``planted:NAME``, or a key of `NAMED_SOURCES`; a folder of that
        name is ``./NAME``.
    text_column
        Column or key that holds the text in .parquet, .jsonl and hub data sets.
    max_mb
        Read at most this much text [MB of UTF-8].
    seed
        Seed of the order in a named source; files keep the order of their paths.
    rejects
        Counts what was left out, by cause.

    Returns
    -------
    Iterator[Document]
        Documents as they are read.

    Raises
    ------
    ValueError
        If `spec` is none of these.
    DataError
        While reading, if a named or hub source cannot be had at all.
    """
    config = CorpusConfig(source=(spec,), text_column=text_column, max_mb=max_mb, seed=seed)
    return open_sources(config, rejects=rejects)


def open_sources(
    config: CorpusConfig, *, rejects: Rejects[str] | None = None
) -> Iterator[Document]:
    """Open the sources of a corpus, one after the other; see `open_source`.

    A source that is added at the end leaves the documents before it as they were.
    """
    if not config.source:
        raise ValueError("corpus.source: none given; name a file, a folder, or 'sampler'")
    if config.max_mb <= 0:
        raise ValueError(f"corpus.max_mb: {config.max_mb} is not positive")
    rejects = Counter() if rejects is None else rejects
    parts = [_open(spec, config, rejects) for spec in config.source]
    documents = (document for part in parts for document in part)
    capped = _capped(documents, max_mb=config.max_mb, rejects=rejects)
    return unique_documents(capped, rejects=rejects)


def _open(spec: str, config: CorpusConfig, rejects: Rejects[str]) -> Iterator[Document]:
    if not spec.strip():
        raise ValueError("corpus.source: an empty name; give a file, a folder or a named source")
    if spec in NAMED_SOURCES:
        return NAMED_SOURCES[spec](config.seed, rejects)
    if spec.startswith(_HUB):
        name = spec.removeprefix(_HUB)
        return hub_documents(name, text_column=config.text_column, rejects=rejects)
    if spec.startswith(_PLANTED):
        return planted_documents(spec, seed=config.seed)
    path = Path(spec).expanduser()
    if path.is_dir():
        return folder_documents(path, text_column=config.text_column, rejects=rejects)
    if path.is_file():
        return file_documents(path, text_column=config.text_column, rejects=rejects)
    names = ", ".join(NAMED_SOURCES)
    raise ValueError(
        f"corpus.source: {spec!r} is no file or folder, nor hf:ID, planted:NAME, nor one of {names}"
    )


def _capped(
    documents: Iterable[Document], *, max_mb: float, rejects: Rejects[str]
) -> Iterator[Document]:
    left = max_mb * 1e6
    for document in documents:
        left -= len(document.text.encode())
        if left < 0:
            rejects["over_max_mb"] += 1
            return
        yield document
