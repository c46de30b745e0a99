"""The server listens on the socket that the hub took for it: on a port that is only chosen, another account of the machine could be first."""

from __future__ import annotations

import os
import socket
from typing import Any

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

    def bound(app: Any) -> bool:
        app.http_server.add_socket(held)
        return True

    ServerApp._find_http_port = lambda _: None  # it would try whether the port is free
    ServerApp._bind_http_server_tcp = bound
