"""Values computed once and kept: threads that want the same one wait for the first."""

from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any, TypeVar

__all__ = ["Kept"]

T = TypeVar("T")


class Kept:
    """A store of values by key."""

    def __init__(self) -> None:
        self._values: dict[Hashable, Any] = {}
        self._locks: dict[Hashable, Lock] = {}
        self._lock = Lock()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """Give the value of a key, made when it is first asked for."""
        with self._lock:
            mine = self._locks.setdefault(key, Lock())
        with mine:
            if key not in self._values:
                self._values[key] = make()
            found: T = self._values[key]
            return found
