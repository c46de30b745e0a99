"""A real S3 server on loopback whose answers fail where a test says so; its buckets are folders."""

from __future__ import annotations

import contextlib
import secrets
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from nanio.app import build_app
from nanio.auth.credentials import StaticCredentialResolver
from nanio.config import Settings

from tests.support.servers.served import served

STEPS = ("create", "part", "complete", "head", "list", "abort")


class FaultyS3:
    """The server.

    ``faults`` has, by step of an upload, what happens: ``refuse`` (500, nothing is done), ``lose`` (done, and the connection breaks before
    the answer) or ``break`` (the connection breaks within the body), each with the number of requests that it happens to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.seen, self.address = folder, Counter[str](), ""
        self.faults: dict[str, list[str]] = {}
        self.keys = {"geodes-test": secrets.token_urlsafe(16)}
        self._app = build_app(Settings(data_dir=folder, credentials=StaticCredentialResolver(self.keys)))

    def fail(self, step: str, how: str, times: int, *, after: int = 0) -> None:
        """Let requests of a step fail, after some that do not."""
        assert step in STEPS, step
        self.faults[step] = [how] * times + [""] * after

    def pending(self) -> list[str]:
        """The uploads that nobody finished or ended."""
        return sorted(p.parent.name for p in self.folder.rglob("init.json"))

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        step = _step(scope)
        self.seen[step] += 1
        how = self.faults[step].pop() if self.faults.get(step) else ""
        if how == "refuse":
            while (await receive()).get("more_body"):
                pass
            await send({"type": "http.response.start", "status": 500, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})
        elif how == "break":
            await receive()
            raise ConnectionAbortedError  # uvicorn closes the connection
        elif how == "lose":

            async def nowhere(message) -> None:
                pass

            await self._app(scope, receive, nowhere)
            raise ConnectionAbortedError
        else:
            await self._app(scope, receive, send)


def _step(scope) -> str:
    query = dict(parse_qsl(scope["query_string"].decode(), keep_blank_values=True))
    match scope["method"]:
        case "POST":
            return "create" if "uploads" in query else "complete"
        case "PUT":
            return "part"
        case "DELETE":
            return "abort" if "uploadId" in query else "delete"
        case "HEAD":
            return "head"
    return "list" if "uploads" in query else "get"


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[FaultyS3]:
    """Serve the buckets of a folder; keys are in the environment."""
    server = FaultyS3(folder)
    with served(server) as server.address, pytest.MonkeyPatch.context() as patch:
        ((key, secret),) = server.keys.items()
        patch.setenv("AWS_ACCESS_KEY_ID", key)
        patch.setenv("AWS_SECRET_ACCESS_KEY", secret)
        yield server
