"""Values computed once and kept: threads that want the same one wait for the first."""

from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any, TypeVar

__all__ = ["Kept"]

T = TypeVar("T")


class Kept:
    """A store of values by key.

    Parameters
    ----------
    most
        Values that are kept, the latest made; None keeps all.
    """

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self._values: dict[Hashable, Any] = {}
        self._locks: dict[Hashable, Lock] = {}
        self._lock = Lock()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """Give the value of a key, made when it is first asked for."""
        with self._lock:
            mine = self._locks.setdefault(key, Lock())
        with mine:
            if key not in self._values:
                self._values[key] = made = make()
                self._forget()
                return made
            found: T = self._values[key]
            return found

    def _forget(self) -> None:
        with self._lock:
            while self._most is not None and len(self._values) > self._most:
                oldest = next(iter(self._values))
                del self._values[oldest]
                self._locks.pop(oldest, None)
