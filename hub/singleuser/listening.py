"""The server listens on the socket that the hub took for it.

On a port that is only chosen, another account of the machine could be first.
"""

from __future__ import annotations

import os
import socket

from jupyter_server.serverapp import ServerApp

_LISTEN = "GEODES_LAB_LISTEN"


def take() -> None:
    """Listen there, if the hub gave one; jupyter_server knows no way to be given a socket."""
    given = os.environ.pop(_LISTEN, "")
    if not given:
        return
    held = socket.socket(fileno=int(given))
    held.setblocking(False)
    os.set_inheritable(held.fileno(), False)

    def bound(self: ServerApp) -> bool:
        self.http_server.add_socket(held)
        return True

    # Its own would try whether the port is free.
    ServerApp._find_http_port = lambda self: None  # type: ignore[method-assign]
    ServerApp._bind_http_server_tcp = bound  # type: ignore[method-assign]
