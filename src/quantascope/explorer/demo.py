"""The small run that comes with the package, copied to where it may be written into."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path
from tempfile import TemporaryDirectory

__all__ = ["demo_copy"]


@contextmanager
def demo_copy() -> Iterator[Path]:
    """Give a folder with a run named ``demo``, which is gone afterwards.

    It is a run of the shipped models on the shipped text; `scripts/build_demo_run.py` made it. Of
    its sketches only the manifest ships.
    """
    with TemporaryDirectory(prefix="quantascope-") as folder:
        run = Path(folder) / "demo"
        with as_file(files("quantascope") / "data" / "demo") as shipped:
            shutil.copytree(shipped, run)
        yield Path(folder)
