"""An application served over HTTP on loopback, in a thread."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn


@contextmanager
def served(
    application: Any, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1", door: socket.socket | None = None
) -> Iterator[str]:
    """Serve; give the address. Another host than loopback is one of a network namespace of the test's own.

    ``door`` is a socket that is bound already, where the application must know its port.
    """
    config = uvicorn.Config(application, host=host, port=0, log_level="error")
    config.load()
    config.ssl = tls
    server = uvicorn.Server(config)
    ready = threading.Event()
    started = server.startup

    async def startup(sockets=None) -> None:
        await started(sockets=sockets)
        ready.set()

    server.startup = startup
    thread = threading.Thread(target=server.run, kwargs={"sockets": [door] if door else None})
    thread.start()
    try:
        assert ready.wait(20)
        yield f"http{'s' if tls else ''}://{host}:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
