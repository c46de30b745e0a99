"""The server that computes a person's jobs: a runner in this process, and an answer for the hub that it lives.

It ends by itself when nothing is to do; the service of jobs has it started again. Whoever reaches its address learns
nothing, and can do nothing.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, urlsplit

import httpx

from geodes_lab import settings
from geodes_lab.batch import places
from geodes_lab.batch.running.runner import Runner
from geodes_lab.batch.running.workers import OnCluster
from geodes_lab.batch.store import chosen
from hub.servers.runners import NAME

_EVERY = 30.0  # seconds between two reports that it works; the same as in presence.py
_SILENT = 10.0  # seconds for a request
_log = logging.getLogger("geodes_lab.jobs")


class _Answer(BaseHTTPRequestHandler):
    """The same for every request; its body is not read."""

    timeout = _SILENT

    def do_GET(self) -> None:
        """Say that it lives."""
        text = b"This server computes jobs; it has no page.\n"
        self.send_response(200)
        for name, value in {
            "Content-Type": "text/plain",
            "Content-Length": str(len(text)),
            "Connection": "close",
        }.items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:
        """Write nothing: requests are nobody's business."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        url = urlsplit(os.environ.get("JUPYTERHUB_SERVICE_URL", "http://127.0.0.1:0"))
        held = os.environ.pop("GEODES_LAB_LISTEN", "")  # the socket that the hub opened for it: listening.py
        super().__init__((url.hostname or "127.0.0.1", url.port or 0), _Answer, bind_and_activate=not held)
        if held:
            self.socket.close()
            self.socket = socket.socket(fileno=int(held))
            os.set_inheritable(self.socket.fileno(), False)


def report(runner: Runner, ended: threading.Event) -> None:
    """Tell hub and culler that it works, for as long as it does."""
    name, token = os.environ.get("JUPYTERHUB_USER", ""), os.environ.get("JUPYTERHUB_API_TOKEN", "")
    hub, culler = os.environ.get("JUPYTERHUB_API_URL", ""), os.environ.get("GEODES_LAB_CULLER", "")
    headers = {"Authorization": f"token {token}"}
    with httpx.Client(timeout=10, headers=headers, trust_env=False) as client:
        while not ended.wait(_EVERY):
            now = datetime.now(UTC).isoformat()
            if not runner.is_busy:
                continue
            with contextlib.suppress(httpx.HTTPError):
                if hub:
                    activity = {"servers": {NAME: {"last_activity": now}}, "last_activity": now}
                    client.post(f"{hub}/users/{quote(name, safe='')}/activity", json=activity)
                if culler:
                    client.post(f"{culler}/beat", json={"server": NAME, "active": now, "running": ["jobs"]})


def main() -> None:
    """Run until nothing is to do, or until the hub stops it: units under way are then given back."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING)
    server, ended = _Server(), threading.Event()
    threading.Thread(target=server.serve_forever, name="lives", daemon=True).start()
    runner = Runner(chosen.store(), OnCluster(), person=places.person())
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: runner.stop())
    threading.Thread(target=report, args=(runner, ended), name="report", daemon=True).start()
    try:
        runner.run(idle=float(settings.get("jobs.idle")))
    finally:
        ended.set()
        server.shutdown()
        server.server_close()


if __name__ == "__main__":
    main()
