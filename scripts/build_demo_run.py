"""Build the run that ships in the package for `quantascope explore --demo`.

Usage: python scripts/build_demo_run.py [RUN_FOLDER]

It is an ordinary run of the shipped suite on the shipped text, without the sketches, which are
nine tenths of a run and which no page shows; their manifest stays, for its facts.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Final

from quantascope.pipeline.config import RunConfig, replace_values
from quantascope.pipeline.runner import run_stages
from quantascope.store.folder import CONFIG, RunFolder
from quantascope.store.manifest import MANIFEST
from quantascope.store.schema import WAY

DEMO: Final = Path(__file__).parent.parent / "src/quantascope/data/demo"
SETTINGS: Final = {
    "models.suite": "demo",
    "corpus.source": ["sampler"],
    "corpus.n_tokens": 90_000,
    "selection.n": 2000,
    "curves.n_sample": 12_000,
}
MOST_BYTES: Final = 3_000_000


def main(folder: Path) -> None:
    """Make the run, then copy what ships."""
    run_stages(RunFolder(folder), replace_values(RunConfig(), SETTINGS), workers=1)
    shutil.rmtree(DEMO, ignore_errors=True)
    DEMO.mkdir(parents=True)
    shutil.copy(folder / CONFIG, DEMO)
    for kind in WAY:
        only = shutil.ignore_patterns("*.zarr") if kind == "sketch" else None
        shutil.copytree(folder / kind, DEMO / kind, ignore=only)
        forget_host(DEMO / kind / MANIFEST)
    n_bytes = sum(path.stat().st_size for path in DEMO.rglob("*") if path.is_file())
    if n_bytes > MOST_BYTES:
        raise SystemExit(f"{n_bytes:,} bytes; at most {MOST_BYTES:,} ship in the package")
    print(f"{n_bytes:,} bytes")
    print(DEMO)


def forget_host(path: Path) -> None:
    """Take the name of this machine out of a manifest (it is in no digest)."""
    manifest = json.loads(path.read_text(encoding="utf-8"))
    manifest["made"]["host"] = ""
    path.write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("runs/demo-small"))
