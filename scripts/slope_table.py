"""Fill the tables of planted worlds behind calibrated slopes and put them into the package.

    python scripts/slope_table.py                     # 20 CPU-minutes
    python scripts/slope_table.py sign_free           # those whose signs mean nothing alone

It writes ``slope_calibration*.csv`` and ``.sha256`` into the package's data.

Equal seeds give the same worlds; what is read off them agrees between machines to about six digits.
"""

import sys
from pathlib import Path

from quantascope.qdg.calibrate.kinds import KINDS
from quantascope.qdg.calibrate.table import format_table, table_hash
from quantascope.recipes.slope_table import Config, fill_table

DATA = Path(__file__).parent.parent / "src" / "quantascope" / "data"


def main() -> None:
    """Write the tables and their hashes."""
    for kind in KINDS:
        if not kind.table.endswith(tuple(sys.argv[1:]) or ""):
            continue
        text = format_table(fill_table(kind, Config(), seed=0))
        (DATA / f"{kind.table}.csv").write_text(text, encoding="utf-8")
        digest = f"{table_hash(text)}  {kind.table}.csv\n"
        (DATA / f"{kind.table}.sha256").write_text(digest, encoding="utf-8")


if __name__ == "__main__":
    main()
