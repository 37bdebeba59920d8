"""The mixture by domain from documentation packages: named source `debian`, training text."""

import re
import sysconfig
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from quantascope.core.errors import DataError
from quantascope.core.rng import derive_seed
from quantascope.lm.documents import Document, Rejects, cut_stream, unique_documents
from quantascope.lm.fingerprint import Fingerprint
from quantascope.lm.sources.packages import PARTS, STANDARD_LIBRARY, Part
from quantascope.lm.sources.readers import READERS
from quantascope.lm.sources.sampler import shuffled

__all__ = ["CORPUS_FOLDER", "mixture_documents", "part_texts", "training_documents"]

CORPUS_FOLDER: Final = Path("~/.cache/quantascope/corpus")
"""Where `make system-corpus` unpacks the documentation packages."""

_HELD_OUT_LINE_SHARE: Final = 0.2
_SHORTEST_DOCUMENT: Final = 200  # tails of a few words are page ends, not text [character]
_POOL_PER_CAP: Final = 3  # read this much more than the cap, so that long files are sampled evenly
_LARGEST_PAGE: Final = 300_000  # larger pages are indexes and printable copies of all others [byte]
_UNWANTED: Final = re.compile(
    r"tests?|testdata|vendor|site-packages|dist-packages|encodings|pydoc_data|print|_modules"
    r"|genindex|.*_test"
)
_PACKAGES: Final = frozenset(part.package for part in PARTS) - {"python3", "copyright"}
_FETCH: Final = "run `make system-corpus`, or name its folder"


def training_documents(
    *,
    n_chars: int,
    seed: int,
    held_out: Fingerprint | None,
    folder: Path = CORPUS_FOLDER,
    rejects: Rejects[str] | None = None,
) -> Iterator[Document]:
    """Yield the training text of our own suites: every domain, shuffled, measured text left out.

    Parameters
    ----------
    n_chars
        Stop at this much text [character].
    seed
        Seed of the order.
    held_out
        Fingerprint with all lines (``keep_one_in=1``) of the text that must not be trained on: a
        document known whole, or with a fifth of its long lines known, is left out.
    folder
        Where the packages are unpacked.
    rejects
        Counts what was left out, by cause.

    Raises
    ------
    DataError
        If a package is missing: training text must not depend on what happens to be installed.
    """
    rejects = Counter() if rejects is None else rejects
    if missing := _missing_packages(folder):
        raise DataError(f"training text: {', '.join(sorted(missing))} not in {folder}; {_FETCH}")
    total = 0
    mixture = mixture_documents(seed=seed, folder=folder)
    for document in unique_documents(mixture, rejects=rejects):
        if held_out and held_out.shares_text(document.text, line_share=_HELD_OUT_LINE_SHARE):
            rejects["held_out"] += 1
            continue
        total += len(document.text)
        if total > n_chars:
            return
        yield document


def mixture_documents(*, seed: int, folder: Path = CORPUS_FOLDER) -> Iterator[Document]:
    """Yield the mixture in seeded hash order, each part that is there up to its cap.

    Raises
    ------
    DataError
        If none of the packages is there.
    """
    if len(_missing_packages(folder)) == len(_PACKAGES):
        raise DataError(f"debian: no documentation package in {folder}; {_FETCH}")
    documents = [doc for part in PARTS for doc in _part_documents(part, folder, seed)]
    yield from shuffled(documents, seed=seed)


def _part_documents(part: Part, folder: Path, seed: int) -> Iterator[Document]:
    """Cut a part's texts, and take a hashed selection up to its cap from a larger pool."""
    pool: list[Document] = []
    n_chars = 0
    for source, text in part_texts(part, folder):
        pieces = cut_stream([text])
        pool += [Document(piece, source, at, part.domain) for at, piece in pieces]
        n_chars += len(text)
        if n_chars > _POOL_PER_CAP * part.max_chars:
            break
    left = part.max_chars
    for document in shuffled(pool, seed=seed):
        left -= len(document.text)
        if left < 0:
            return
        if len(document.text) >= _SHORTEST_DOCUMENT:
            yield document


def part_texts(part: Part, folder: Path = CORPUS_FOLDER) -> Iterator[tuple[str, str]]:
    """Read the whole files of a part, in an order hashed from their names.

    Yields
    ------
    tuple[str, str]
        Name ``package/path/name below the file``, and text.
    """
    base = _base(part, folder)
    names = [path.relative_to(base).as_posix() for path in _files(part, base)]
    for name in sorted(names, key=lambda name: derive_seed(0, part.package, name)):
        try:
            for below, text in READERS[part.reader](base / name):
                yield "/".join(filter(None, (part.package, name, below))), text
        except UnicodeDecodeError:  # a few files of a standard library are Latin-1 on purpose
            continue


def _missing_packages(folder: Path) -> frozenset[str]:
    return _PACKAGES - {part.package for part in PARTS if _files(part, _base(part, folder))}


def _base(part: Part, folder: Path) -> Path:
    if part.folder == STANDARD_LIBRARY:
        return Path(sysconfig.get_path("stdlib"))
    root = folder.expanduser()
    return (root if root.is_dir() else Path("/")) / part.folder


def _files(part: Part, base: Path) -> list[Path]:
    paths = base.glob(part.pattern) if base.is_dir() else ()
    return [path for path in paths if path.is_file() and _is_wanted(path, part, base)]


def _is_wanted(path: Path, part: Part, base: Path) -> bool:
    """Leave out tests, bundled third-party code, tables in code, and generated indexes."""
    if part.reader in ("html", "markup") and path.stat().st_size > _LARGEST_PAGE:
        return False
    names = path.relative_to(base).with_suffix("").parts
    return not any(_UNWANTED.fullmatch(name) for name in names)
