"""A real S3 server on loopback, whose buckets are folders."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve the buckets of a folder; give the endpoint. Keys are in the environment."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    key, secret = "geodes-test", secrets.token_urlsafe(16)
    server = subprocess.Popen(
        [sys.executable, "-m", "nanio", "serve", "--log-level", "warning", "--host", "127.0.0.1"]
        + ["--port", str(port), "--data-dir", str(folder)],
        env={**os.environ, "NANIO_ACCESS_KEY": key, "NANIO_SECRET_KEY": secret},
    )
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert server.poll() is None, "the S3 server ended"
            time.sleep(0.05)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ACCESS_KEY_ID", key)
            patch.setenv("AWS_SECRET_ACCESS_KEY", secret)
            yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(10)
