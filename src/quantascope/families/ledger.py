"""The ledger of forecasts: entries that name the one before by its hash.

What was forecast and how it came out stands here, one line an entry, appended and never changed. An
entry's hash covers its time and the hash of the entry before, so that no date can be moved and no
line taken out of the middle unseen. Who keeps the last hash elsewhere (a commit, a letter) can show
later that a forecast was older than what it foretold.
"""

import json
from collections.abc import Sequence
from typing import Any, Final

from quantascope.core.errors import DataError
from quantascope.store.digest import digest_json

__all__ = ["GENESIS", "add_entry", "check_ledger", "parse_ledger"]

GENESIS: Final = "0" * 64
"""Hash before the first entry."""


def add_entry(
    entries: Sequence[dict[str, Any]], content: dict[str, Any], *, time: float
) -> dict[str, Any]:
    """Make the next entry.

    Parameters
    ----------
    entries
        Those before.
    content
        JSON-able; what it says.
    time
        Of the entry [seconds since 1970].

    Examples
    --------
    >>> first = add_entry([], {"what": "forecast"}, time=1.0)
    >>> second = add_entry([first], {"what": "score"}, time=2.0)
    >>> second["previous"] == first["sha256"], check_ledger([first, second])
    (True, '')
    >>> check_ledger([first | {"time": 0.5}, second])
    'entry 1: changed after it was written'
    """
    entry = {
        "entry": len(entries) + 1,
        "time": time,
        "content": content,
        "previous": entries[-1]["sha256"] if entries else GENESIS,
    }
    return entry | {"sha256": digest_json(entry)}


def check_ledger(entries: Sequence[dict[str, Any]]) -> str:
    """Say what was changed in a ledger; empty if nothing was."""
    previous = GENESIS
    for i, entry in enumerate(entries, start=1):
        rest = {key: value for key, value in entry.items() if key != "sha256"}
        if digest_json(rest) != entry.get("sha256"):
            return f"entry {i}: changed after it was written"
        if rest.get("previous") != previous or rest.get("entry") != i:
            return f"entry {i}: an entry before it is gone, or they change places"
        previous = entry["sha256"]
    return ""


def parse_ledger(text: str, *, name: str) -> list[dict[str, Any]]:
    """Read a ledger's lines and check them.

    Raises
    ------
    DataError
        If a line is no entry, or was changed; `name` says where.
    """
    entries = []
    for i, line in enumerate(text.splitlines(), start=1):
        try:
            entry = json.loads(line)
        except ValueError as error:
            raise DataError(f"{name}: line {i} is no entry ({error})") from error
        if not isinstance(entry, dict):
            raise DataError(f"{name}: line {i} is no entry")
        entries.append(entry)
    if wrong := check_ledger(entries):
        raise DataError(f"{name}: {wrong}; take it from a copy")
    return entries
