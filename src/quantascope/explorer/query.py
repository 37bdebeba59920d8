"""The query of an address: every value typed, bounded, and named in the error when it is not."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["BadQueryError", "Query"]


class BadQueryError(ValueError):
    """A value in the address that is not allowed; one line that says which and what is."""


@dataclass(frozen=True)
class Query:
    """Values after the ``?`` of an address, the last of each name."""

    values: Mapping[str, str]

    def text(self, name: str, default: str = "", *, most: int = 200) -> str:
        """Give a text of at most `most` characters, without NUL."""
        found = self.values.get(name, default)
        if len(found) > most:
            raise BadQueryError(
                f"{name}: {len(found)} characters found; at most {most} are allowed"
            )
        if "\0" in found:
            raise BadQueryError(f"{name}: a NUL character found; leave it out")
        return found

    def one_of(self, name: str, allowed: Sequence[str], default: str | None = None) -> str:
        """Give one of the allowed words, the first of them by default."""
        found = self.values.get(name) or (allowed[0] if default is None else default)
        if found not in allowed:
            raise BadQueryError(f"{name}: {_short(found)} found; allowed are {', '.join(allowed)}")
        return found

    def integer(self, name: str, default: int, *, lo: int, hi: int) -> int:
        """Give a whole number from `lo` to `hi`."""
        found = self.values.get(name) or str(default)
        try:
            value = int(found) if len(found) < 20 else hi + 1
        except ValueError:
            value = hi + 1
        if not lo <= value <= hi:
            raise BadQueryError(f"{name}: {_short(found)} found; allowed are {lo} to {hi}")
        return value

    def number(self, name: str) -> float | None:
        """Give a finite number, None where there is none."""
        found = self.values.get(name)
        if not found:
            return None
        try:
            value = float(found) if len(found) <= 40 else math.nan
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise BadQueryError(f"{name}: {_short(found)} found; give a number")
        return value

    def flag(self, name: str) -> bool:
        """Tell whether a switch is on."""
        return self.one_of(name, ("0", "1")) == "1"


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:40] + "...")
