"""Fill the table of planted worlds behind calibrated slopes and put it into the package.

    python scripts/slope_table.py        # 12 CPU-minutes

It writes ``slope_calibration.csv`` and ``slope_calibration.sha256`` into the package's data.

Equal seeds give the same worlds; what is read off them agrees between machines to about six digits.
"""

from pathlib import Path

from quantascope.qdg.calibrate.table import format_table, table_hash
from quantascope.recipes.slope_table import Config, fill_table

DATA = Path(__file__).parent.parent / "src" / "quantascope" / "data"


def main() -> None:
    """Write the table and its hash."""
    text = format_table(fill_table(Config(), seed=0))
    (DATA / "slope_calibration.csv").write_text(text, encoding="utf-8")
    digest = f"{table_hash(text)}  slope_calibration.csv\n"
    (DATA / "slope_calibration.sha256").write_text(digest, encoding="utf-8")


if __name__ == "__main__":
    main()
