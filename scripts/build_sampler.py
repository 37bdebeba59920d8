"""Build the `sampler` corpus that ships in the package, from the folder of `make system-corpus`.

Usage: python scripts/build_sampler.py [CORPUS_FOLDER]
"""

import json
import shutil
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

from quantascope.lm.documents import cut_stream
from quantascope.lm.sources.mixture import CORPUS_FOLDER, part_texts
from quantascope.lm.sources.packages import PARTS, Part

SAMPLER: Final = Path(__file__).parent.parent / "src/quantascope/data/sampler"

# Domain: (bytes wanted, names in order of preference, licence file). Whole texts, the last one cut
# at a paragraph.
WANTED: Final = {
    "prose": (470_000, ["*/persuasion"], "public-domain"),
    "scripture": (230_000, ["*/ecclesiastes", "*/ruth", "*/mark", "*/james", "*/jonah", "*/esther", "*/proverbs"], "public-domain"),
    "python": (300_000, ["python3/textwrap.py", "python3/heapq.py", "python3/csv.py", "python3/shlex.py", "python3/calendar.py", "python3/statistics.py", "python3/fractions.py", "python3/json/*.py", "python3/html/*.py", "python3/dataclasses.py", "python3/argparse.py", "python3/zipfile.py", "python3/tarfile.py"], "PSF-2.0"),
    "python_docs": (170_000, ["*/tutorial/[a-e]*", "*/tutorial/s*", "*/howto/regex*", "*/howto/sorting*", "*/howto/logging.*", "*/howto/urllib2*"], "PSF-2.0"),
    "go": (60_000, ["*/strings/strings.go", "*/sort/sort.go", "*/bufio/*.go", "*/path/*.go"], "BSD-3-Clause-Go"),
    "rust": (60_000, ["*/alloc/rc.rs.html", "*/alloc/string.rs.html"], "MIT-Rust"),
    "database_docs": (110_000, ["postgresql*/ddl-*", "postgresql*/functions-[ams]*", "sqlite3*/lang_*"], "PostgreSQL"),
    "markup": (160_000, ["postgresql*/sql-create*", "postgresql*/tutorial-*", "apache2*/howto/*"], "PostgreSQL"),
    "web_docs": (70_000, ["nodejs-doc/url*", "nodejs-doc/path*", "nodejs-doc/events*"], "MIT-Node"),
    "rust_book": (90_000, ["rust-doc/ch0[3-6]*", "rust-doc/ch1[0-1]*"], "MIT-Rust"),
    "glosses": (110_000, ["*/data.noun", "*/data.verb", "*/data.adj"], "WordNet-3.0"),
    "lexicon": (40_000, ["dict-devil/*"], "public-domain"),
}  # fmt: skip
