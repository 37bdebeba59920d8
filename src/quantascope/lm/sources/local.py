"""Text that every machine has: Python's standard library and permissive installed packages."""

import re
import sysconfig
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Final

from quantascope.core.rng import derive_seed
from quantascope.lm.documents import Document, Rejects
from quantascope.lm.sources.files import text_documents

__all__ = ["is_permissive", "licence_of", "local_documents"]

_ALLOWED: Final = re.compile(r"\b(MIT|BSD|0BSD|Apache|PSF|Python Software Foundation)\b", re.I)
_REFUSED: Final = re.compile(
    r"GPL|MPL|Mozilla|EUPL|EPL|CDDL|CC-BY|CeCILL|Proprietary|Commercial", re.I
)


def local_documents(*, seed: int, rejects: Rejects[str]) -> Iterator[Document]:
    """Yield Python files of the standard library and of permissive packages.

    The order of the files is a seeded hash of their names, so that a cap leaves a mixture.
    """
    files = dict(_standard_library()) | dict(_packages())
    for name in sorted(files, key=lambda name: derive_seed(seed, "local", name)):
        try:
            yield from text_documents(
                files[name], source=f"local/{name}", domain="python", rejects=rejects
            )
        except OSError:
            rejects["unreadable"] += 1


def licence_of(package: Distribution) -> str:
    """Return what a package's metadata says: expression, else classifiers, else a first line."""
    classifiers = _fields(package, "Classifier")
    stated = [line for line in classifiers if line.startswith("License ::")]
    expression, free_text = _fields(package, "License-Expression"), _fields(package, "License")
    first_line = "".join(free_text).strip().partition("\n")[0]
    return "; ".join(expression or stated) or first_line


def _fields(package: Distribution, name: str) -> list[str]:
    return [value for value in package.metadata.get_all(name) or [] if value]


def is_permissive(licence: str) -> bool:
    """Tell whether a licence names MIT, BSD, Apache or PSF, and no copyleft beside it."""
    return bool(_ALLOWED.search(licence)) and not _REFUSED.search(licence)


def _standard_library() -> Iterator[tuple[str, Path]]:
    base = Path(sysconfig.get_path("stdlib"))
    for path in base.rglob("*.py"):
        below = path.relative_to(base)
        if not {"site-packages", "dist-packages"} & set(below.parts):
            yield f"python3/{below.as_posix()}", path


def _packages() -> Iterator[tuple[str, Path]]:
    for package in distributions():
        if not is_permissive(licence_of(package)):
            continue
        name = package.name  # parses the metadata anew each time
        for file in package.files or []:
            if file.suffix == ".py" and ".." not in file.parts:
                yield f"{name}/{file.as_posix()}", Path(str(file.locate()))
