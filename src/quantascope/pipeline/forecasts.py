"""Write forecasts and their scores: artefacts that are never replaced, and an append-only ledger.

Tables, facts and scores enter as the reader made them; `forecasts/ID/` and a line of
`forecasts/ledger.jsonl` leave, both whole or not at all.
"""

import json
import os
import time
from typing import Any, Final

import pyarrow as pa

from quantascope.families.ledger import add_entry, parse_ledger
from quantascope.store.collection import add_item
from quantascope.store.folder import RunFolder

__all__ = ["LEDGER", "record_score", "write_forecast"]

LEDGER: Final = "ledger.jsonl"
_KIND: Final = "forecasts"


def write_forecast(
    run: RunFolder,
    tables: dict[str, pa.Table],
    *,
    config: dict[str, Any],
    parents: dict[str, str],
    facts: dict[str, Any],
) -> tuple[str, dict[str, Any]]:
    """Put a forecast down, and say so in the ledger.

    Returns
    -------
    tuple[str, dict[str, Any]]
        Its id and its entry in the ledger: that of the first time, where it stands already.
    """
    with run.lock():
        item, manifest, _ = add_item(
            run, _KIND, tables, config=config, parents=parents, facts=facts
        )
        content = {
            "what": "forecast",
            "forecast": item,
            "digest": manifest.digest,
            "targets": config["at"],
            "hindsight": facts["hindsight"],
            "method": config["method"],
        }
        return item, _enter(run, content)


def record_score(run: RunFolder, item: str, content: dict[str, Any]) -> dict[str, Any]:
    """Enter how a forecast came out; the same result is entered once.

    Returns
    -------
    dict[str, Any]
        The entry.
    """
    with run.lock():
        return _enter(run, {"what": "score", "forecast": item} | content)


def _enter(run: RunFolder, content: dict[str, Any]) -> dict[str, Any]:
    path = run.root / _KIND / LEDGER
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    entries = parse_ledger(text, name=str(path))
    plain = json.loads(json.dumps(content, allow_nan=False))
    for entry in entries:
        if entry["content"] == plain:
            return entry
    entry = add_entry(entries, plain, time=time.time())
    new = path.with_suffix(".tmp")
    with new.open("w", encoding="utf-8") as file:
        file.write(text + json.dumps(entry, sort_keys=True, allow_nan=False) + "\n")
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    return entry
