"""Build the `sampler` corpus that ships in the package, from the folder of `make system-corpus`.

Usage: python scripts/build_sampler.py [CORPUS_FOLDER]
"""
# ruff: noqa: E501  one row a domain reads as a table

import json
import shutil
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

from quantascope.lm.documents import cut_stream
from quantascope.lm.sources.mixture import CORPUS_FOLDER, part_texts
from quantascope.lm.sources.packages import PARTS

SAMPLER: Final = Path(__file__).parent.parent / "src/quantascope/data/sampler"

# Domain: bytes wanted, licence files, names in order of preference. Whole texts are taken until
# the domain is full; of a text larger than the domain, runs of documents spread over all of it.
WANTED: Final = {
    "prose": (480_000, "public-domain", "*/persuasion"),
    "scripture": (280_000, "public-domain", "*/ruth */jonah */james */ecclesiastes */esther */mark */proverbs"),
    "python": (290_000, "PSF-2.0", "*/textwrap.py */heapq.py */csv.py */shlex.py */calendar.py */statistics.py */fractions.py */json/*.py */html/*.py */dataclasses.py */argparse.py */zipfile.py */string.py */bisect.py */random.py */copy.py"),
    "python_docs": (170_000, "PSF-2.0", "*/tutorial/[a-e]* */tutorial/s* */howto/regex* */howto/sorting* */howto/logging.*"),
    "go": (60_000, "BSD-3-Clause-Go", "*/strings/strings.go */sort/sort.go */path/path.go */bufio/scan.go"),
    "rust": (80_000, "MIT", "*/alloc/rc.rs.html"),
    "database_docs": (110_000, "PostgreSQL", "postgresql*/ddl-* postgresql*/functions-[ams]*"),
    "markup": (150_000, "PostgreSQL", "postgresql*/tutorial-* postgresql*/sql-create*"),
    "web_docs": (90_000, "MIT-Node.js", "nodejs-doc/path* nodejs-doc/url* nodejs-doc/events*"),
    "rust_book": (90_000, "MIT", "rust-doc/ch0[3-6]* rust-doc/ch1[0-1]* rust-doc/ch0[12]*"),
    "glosses": (120_000, "WordNet-3.0", "*/data.noun */data.verb */data.adj"),
    "lexicon": (50_000, "public-domain", "dict-devil/*"),
}  # fmt: skip
LICENCE_TEXTS: Final = ("Apache-2.0", "Artistic", "CC0-1.0", "MPL-2.0")
# Licence file: package and field of its copyright file, or a path below the corpus folder.
LICENCES: Final = {
    "PSF-2.0": "usr/share/doc/python3.11/html/_sources/license.rst.txt",
    "MIT": "usr/share/doc/rust-doc/html/LICENSE-MIT.txt",
    "BSD-3-Clause-Go": ("golang-1.19-src", "Go"),
    "PostgreSQL": ("postgresql-doc-15", "PostgreSQL"),
    "MIT-Node.js": ("nodejs-doc", "Expat"),
    "WordNet-3.0": ("wordnet-base", "WordNet3.0"),
}
COPYRIGHT: Final = {
    "MIT": "Copyright 2006-2009 Graydon Hoare, 2009-2012 Mozilla Foundation,\n"
    "2012-2017 The Rust Project Developers\n\n",
    "PostgreSQL": "Portions Copyright (c) 1996-2022, PostgreSQL Global Development Group\n"
    "Portions Copyright (c) 1994, The Regents of the University of California\n\n",
    "MIT-Node.js": "Copyright Node.js contributors, Joyent, Inc. and other Node contributors.\n\n",
}
PUBLIC_DOMAIN: Final = """\
These texts are in the public domain: Jane Austen's "Persuasion" (1818), books of the King James
Version of the Bible (1611), Ambrose Bierce's "The Devil's Dictionary" (1911).
"""


def main() -> None:
    """Write the sampler's texts, licence files, and manifest."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else CORPUS_FOLDER.expanduser()
    shutil.rmtree(SAMPLER, ignore_errors=True)
    (SAMPLER / "LICENSES").mkdir(parents=True)
    files = [row for domain in WANTED for row in write_domain(domain, folder)]
    files += [write_licence_text(name) for name in LICENCE_TEXTS]
    for name, place in LICENCES.items():
        text = COPYRIGHT.get(name, "") + licence_text(folder, place)
        (SAMPLER / "LICENSES" / f"{name}.txt").write_text(text)
    (SAMPLER / "LICENSES" / "public-domain.txt").write_text(PUBLIC_DOMAIN)
    (SAMPLER / "manifest.json").write_text(json.dumps({"files": files}, indent=1) + "\n")
    size = sum(path.stat().st_size for path in SAMPLER.rglob("*") if path.is_file())
    print(f"{SAMPLER}: {len(files)} texts, {size / 1e6:.2f} MB")


def write_domain(domain: str, folder: Path) -> list[dict[str, str]]:
    """Write the texts of one domain; return their manifest rows."""
    n_bytes, licence, patterns = WANTED[domain]
    texts = {n: t for part in PARTS if part.domain == domain for n, t in part_texts(part, folder)}
    rows, left = [], n_bytes
    for pattern in patterns.split():
        for name in sorted(name for name in texts if fnmatch(name, pattern)):
            text = texts[name]
            if len(text.encode()) > n_bytes:
                text = spread(text, n_bytes // len(patterns.split()))
            if len(text.encode()) <= left:
                left -= len(text.encode())
                rows.append(write(f"{domain}/{flat(name)}", text, origin=name, licence=licence))
    return rows


def spread(text: str, n_bytes: int) -> str:
    """Join runs of four documents, evenly spaced over the text."""
    pieces = [piece for _, piece in cut_stream([text])]
    n_runs = max(1, n_bytes // 16_000)
    starts = [len(pieces) * run // n_runs for run in range(n_runs)]
    return "".join("".join(pieces[start : start + 4]) for start in starts)


def flat(name: str) -> str:
    """Name without its package, folders joined by dashes, with the suffix .txt."""
    below = [part for part in name.split("/")[1:] if part not in ("Rdata.rdb", "kjv.jsonl")]
    return "-".join(below).removesuffix(".txt").removesuffix(".html") + ".txt"


def write_licence_text(name: str) -> dict[str, str]:
    """Add a licence as a text of the domain `licences`; licences may be copied verbatim."""
    text = (Path("/usr/share/common-licenses") / name).read_text()
    return write(f"licences/{name}.txt", text, origin=f"base-files/{name}", licence="verbatim")


def write(file: str, text: str, *, origin: str, licence: str) -> dict[str, str]:
    """Write one text; return its manifest row."""
    path = SAMPLER / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, newline="")
    return {"file": file, "origin": origin, "licence": licence}


def licence_text(folder: Path, place: str | tuple[str, str]) -> str:
    """Read a licence file, or a licence paragraph of a Debian copyright file."""
    if isinstance(place, str):
        return (folder / place).read_text()
    package, field = place
    paragraphs = (folder / f"usr/share/doc/{package}/copyright").read_text().split("\n\n")
    marked = f"License: {field}\n"
    text = max((p.partition(marked)[2] for p in paragraphs), key=len)
    return "\n".join("" if line == " ." else line.removeprefix(" ") for line in text.splitlines())


if __name__ == "__main__":
    main()
