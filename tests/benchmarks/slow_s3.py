"""An S3 server that takes 20 ms longer for each request: what a datalake in the next room is like. For benchmarks."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import uvicorn
from nanio.app import build_app
from nanio.config import Settings

DELAY = 0.020  # seconds


class Slow:
    """ASGI middleware: wait, then serve; counts requests and bytes, and tells them at ``/-/counts``."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.requests = 0
        self.bytes = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if scope["path"] == "/-/counts":
            body = f"{self.requests} {self.bytes}".encode()
            await send(
                {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]}
            )
            await send({"type": "http.response.body", "body": body})
            return
        self.requests += 1
        await asyncio.sleep(DELAY)

        async def counted(message: Any) -> None:
            self.bytes += len(message.get("body", b""))
            await send(message)

        await self.app(scope, receive, counted)


if __name__ == "__main__":
    folder, port = Path(sys.argv[1]), int(sys.argv[2])
    settings = Settings(data_dir=folder, host="127.0.0.1", port=port, access_log=False, chunk_size=2**20)
    uvicorn.run(Slow(build_app(settings)), host="127.0.0.1", port=port, log_level="error", access_log=False)
