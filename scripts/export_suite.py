"""Copy a trained suite into the package: last steps of all sizes, some steps of a few.

python scripts/export_suite.py TRAINED --keep 0.098M:16,64,256,1024,4096
"""

import argparse
import json
import shutil
from pathlib import Path
from typing import Final

from quantascope.lm.suite_folder import (
    FINGERPRINT_FILE,
    LOG_FILE,
    SUITE_FILE,
    TOKENIZER_FILE,
    CheckpointCard,
    read_suite,
    write_json,
)

SUITES_FOLDER: Final = Path(__file__).parent.parent / "src/quantascope/data/suites"
LARGEST_BYTES: Final = 10_000_000


def main() -> None:
    """Read the arguments, copy, print the bytes of weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trained", type=Path)
    parser.add_argument("--keep", nargs="*", default=[], help="SIZE:STEP,STEP,...")
    arguments = parser.parse_args()
    trained = read_suite(arguments.trained)
    kept = {
        (size, int(step))
        for size, _, steps in (entry.partition(":") for entry in arguments.keep)
        for step in steps.split(",")
    }
    cards = [
        card
        for card in trained.cards
        if card.step == trained.suite.n_steps or (card.size, card.step) in kept
    ]
    n_bytes = sum((trained.path / card.file).stat().st_size for card in cards)
    if n_bytes > LARGEST_BYTES:
        raise SystemExit(f"{n_bytes:,} bytes of weights; at most {LARGEST_BYTES:,} may ship")
    _copy(trained.path, SUITES_FOLDER / trained.suite.name, cards)
    print(f"{n_bytes:,} bytes of weights in {len(cards)} files")


def _copy(source: Path, target: Path, cards: list[CheckpointCard]) -> None:
    if target.exists():
        shutil.rmtree(target)
    (target / "models").mkdir(parents=True)
    for name in [TOKENIZER_FILE, FINGERPRINT_FILE, LOG_FILE, *(card.file for card in cards)]:
        shutil.copyfile(source / name, target / name)
    content = json.loads((source / SUITE_FILE).read_text(encoding="utf-8"))
    files = {card.file for card in cards}
    content["models"] = [card for card in content["models"] if card["file"] in files]
    write_json(target / SUITE_FILE, content)


if __name__ == "__main__":
    main()
