"""The server listens on the socket that the hub opened for it.

Another account of the machine could take a port that is only chosen.
"""

from __future__ import annotations

import os
import socket

from jupyter_server.serverapp import ServerApp

_LISTEN = "GEODES_LAB_LISTEN"


def take() -> None:
    """Listen there, if the hub passed one; jupyter_server has no option for a socket."""
    descriptor = os.environ.pop(_LISTEN, "")
    if not descriptor:
        return
    held = socket.socket(fileno=int(descriptor))
    held.setblocking(False)
    os.set_inheritable(held.fileno(), False)

    def bound(self: ServerApp) -> bool:
        self.http_server.add_socket(held)
        return True

    # Its own check would try to open the port.
    ServerApp._find_http_port = lambda self: None  # type: ignore[method-assign]
    ServerApp._bind_http_server_tcp = bound  # type: ignore[method-assign]
