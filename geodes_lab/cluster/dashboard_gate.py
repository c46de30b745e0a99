"""A dashboard that answers those alone who know its secret path: any process of the machine can reach its port.

What is behind the gate sees nothing of it, so that its links stay as they are. ``dask scheduler --preload
geodes_lab.cluster.dashboard_gate`` puts a gate before the dashboard of a gateway's scheduler, which the gateway shows
to anybody (dask-gateway#570).
"""

from __future__ import annotations

import hmac
import secrets
from typing import Any

from tornado.httputil import HTTPMessageDelegate, HTTPServerRequest
from tornado.routing import Router


class Gate(Router):
    """Lets requests below ``/secret`` through, as if they were not below it; others find nothing.

    Parameters
    ----------
    application
        What is behind it.
    """

    def __init__(self, application: Router) -> None:
        self._application, self.secret = application, secrets.token_urlsafe(18)

    def find_handler(self, request: HTTPServerRequest, **options: Any) -> HTTPMessageDelegate | None:
        """Called by tornado for each request, websockets too."""
        first, slash, rest = request.path.lstrip("/").partition("/")
        if not slash or not hmac.compare_digest(first.encode(), self.secret.encode()):
            return None
        request.path = f"/{rest}"
        request.uri = request.path + (f"?{request.query}" if request.query else "")
        return self._application.find_handler(request, **options)


def close(dask_scheduler: Any) -> str:
    """Put a gate before the pages of a scheduler or a worker, if there is none yet; give its secret.

    Parameters
    ----------
    dask_scheduler
        The `distributed.Scheduler` or `distributed.Worker`; named so that ``client.run_on_scheduler(gate.close)``
        works.
    """
    server = dask_scheduler.http_server
    if not isinstance(server.request_callback, Gate):
        server.request_callback = Gate(server.request_callback)
    secret: str = server.request_callback.secret
    return secret


def dask_setup(server: Any) -> None:
    """Called by ``--preload`` of a scheduler or a worker."""
    close(server)
