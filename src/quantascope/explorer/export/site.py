"""The explorer asked without a network: an export writes down what a browser would have got."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import unquote, urlsplit

from starlette.types import Message

from quantascope.core.errors import DataError
from quantascope.explorer.app import make_app

__all__ = ["Answer", "Site"]

_HOST: Final = "127.0.0.1"
_PORT: Final = 8765
_FOUND: Final = 200
_ABSENT: Final = 404


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What an address gave."""

    kind: str
    """Media type."""
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()


class Site:
    """The explorer of one run; use it in a ``with`` statement."""

    def __init__(self, folder: Path) -> None:
        self.folder: Final = folder
        self.run: Final = folder.resolve().name
        self._app = make_app(folder, host=_HOST, port=_PORT)
        self._runner = asyncio.Runner()

    def __enter__(self) -> Self:
        """Open the site."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End its threads."""
        self._runner.close()

    def get(self, address: str) -> Answer:
        """Ask for an address, as ``/r/demo/quanta?page=2``.

        Raises
        ------
        DataError
            If the explorer does not answer it.
        """
        answer = self.find(address)
        if answer is None:
            raise DataError(f"{address}: the explorer has no such page")
        return answer

    def find(self, address: str) -> Answer | None:
        """Ask for an address; None where there is nothing.

        Raises
        ------
        DataError
            If the explorer fails at it.
        """
        status, kind, body = self._runner.run(self._ask(address))
        if status == _ABSENT:
            return None
        if status != _FOUND:
            raise DataError(f"{address}: the explorer answers {status}: {body[:300].decode()}")
        return Answer(kind=kind, body=body)

    async def _ask(self, address: str) -> tuple[int, str, bytes]:
        parts = urlsplit(address)
        scope: dict[str, Any] = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET",
            "scheme": "http", "root_path": "", "path": unquote(parts.path),
            "raw_path": parts.path.encode(), "query_string": parts.query.encode(),
            "headers": [(b"host", f"{_HOST}:{_PORT}".encode())],
            "client": (_HOST, 0), "server": (_HOST, _PORT),
        }  # fmt: skip
        sent: list[Message] = []

        unread = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> Message:
            if not unread:  # who asks again wants to know of a hang-up, which does not come
                await asyncio.Event().wait()
            return unread.pop()

        async def send(message: Message) -> None:
            sent.append(message)

        await self._app(scope, receive, send)
        headers = dict(sent[0]["headers"])
        body = b"".join(message.get("body", b"") for message in sent[1:])
        return sent[0]["status"], headers.get(b"content-type", b"").decode(), body
