"""Several processes of one service behind one socket, for services whose work is Python's own.

The process that the hub starts keeps the socket and answers nothing. It starts the same command again, several times;
each of these answers whatever connection it accepts first. Without this a service is one process, and nothing here
matters.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn
from urllib.parse import urlsplit

_log = logging.getLogger("processes")
_NUMBER, _SHARED, _SOCKET = "GEODES_LAB_PROCESSES", "GEODES_LAB_SHARED", "GEODES_LAB_LISTEN"
_AGAIN = "GEODES_LAB_AGAIN"
_SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD}
_PATIENCE = 10.0  # seconds in which they end what they are answering
_YOUNG = 10.0  # seconds: a process that is killed earlier waits before it starts again, each time twice as long
_LONGEST = 30.0
_PARENT_DEATH_SIGNAL = 1


def number() -> int:
    """Return how many processes this service has: its limits for all of them are divided by it."""
    return int(os.environ.get(_NUMBER, 1))


def shared() -> int | None:
    """Return the descriptor of a file that the processes of this service have in common; None: it has one process."""
    return int(os.environ[_SHARED]) if _SHARED in os.environ else None


def is_again() -> bool:
    """Whether this process takes the place of one that was killed: the others answer until it can."""
    return _AGAIN in os.environ


def address(default: int) -> tuple[str, int]:
    """Return where this service listens, as the hub says; else on loopback at the port ``default``."""
    url = urlsplit(os.environ.get("JUPYTERHUB_SERVICE_URL", f"http://127.0.0.1:{default}"))
    return url.hostname or "127.0.0.1", url.port or default


def end_with_hub() -> None:
    """End when the parent process ends."""
    if sys.platform == "linux" and "JUPYTERHUB_API_TOKEN" in os.environ:
        ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGTERM, 0, 0, 0)


def begin(several: int, default: int) -> None:
    """Return in the process that is to serve: this one, if one is enough; else this process only keeps the others.

    Parameters
    ----------
    several
        How many processes serve.
    default
        See `address`.

    Raises
    ------
    SystemExit
        In the process that keeps the others, when all of them have ended.
    """
    if _SHARED in os.environ:
        return
    if several > 1 and sys.platform != "linux":
        _log.warning("Several processes of a service need Linux: there is one.")
    elif several > 1:
        end_with_hub()
        _Keeper(several, _socket(default)).run()


@dataclass
class _Kept:
    """One of the processes; it starts again when it was killed."""

    process: subprocess.Popen[bytes] | None = None
    began: float = 0.0
    due: float = 0.0
    """When it starts."""
    waits: float = 0.0
    """For how long it waited last."""


class _Keeper:
    """Starts processes, starts those again that were killed, and ends all of them.

    Parameters
    ----------
    several
        How many.
    listening
        Their socket.
    """

    def __init__(self, several: int, listening: socket.socket) -> None:
        # No name and no content: processes lock bytes of it, and a lock ends with its process.
        self._common, self._listening = os.memfd_create("shared"), listening
        self._kept = [_Kept() for _ in range(several)]

    def run(self) -> NoReturn:
        """Keep them until told to stop, or until one says that the service cannot start.

        Raises
        ------
        SystemExit
            Always.
        """
        # Blocked, then waited for: no signal is lost between two looks. In the main thread, since the death of the
        # thread that started a process ends that process.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        status = 0
        try:
            while not (status := self._ended()):
                self._start()
                now = time.monotonic()
                due = min((k.due for k in self._kept if k.process is None), default=now + 3600)
                told = signal.sigtimedwait(_SIGNALS, max(due - now, 0))
                if told is not None and told.si_signo != signal.SIGCHLD:
                    break
        finally:
            self._end()
        sys.exit(status)

    def _start(self) -> None:
        for kept in self._kept:
            if kept.process is None and kept.due <= time.monotonic():
                kept.process, kept.began = self._started(kept.began > 0), time.monotonic()

    def _started(self, again: bool) -> subprocess.Popen[bytes]:
        fds = (self._listening.fileno(), self._common)
        environment: Mapping[str, str] = {
            **os.environ, _NUMBER: str(len(self._kept)), _SOCKET: str(fds[0]), _SHARED: str(fds[1]),
            **({_AGAIN: "1"} if again else {}),
        }  # fmt: skip
        libc, parent = ctypes.CDLL(None), os.getpid()

        def follow() -> None:
            # From its first moment it ends with this process, however that ends.
            libc.prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            os.setpgid(0, 0)  # Ctrl-C of a terminal reaches the keeper alone, which tells each of them once

        command = [sys.executable, *sys.orig_argv[1:]]
        return subprocess.Popen(command, env=environment, pass_fds=fds, preexec_fn=follow)

    def _ended(self) -> int:
        """Plan the start of those that were killed; return the status of one that ended by itself, 0: of none."""
        for kept in self._kept:
            if kept.process is None or (status := kept.process.poll()) is None:
                continue
            if status >= 0:  # it does not start, or was told to end: whoever started this process sees to it
                return status or 1
            now = time.monotonic()
            kept.waits = min(max(2 * kept.waits, 1.0), _LONGEST) if now - kept.began < _YOUNG else 0.0
            _log.warning(
                "A process of this service was ended by %s: it starts again%s.",
                signal.Signals(-status).name, f" in {kept.waits:g} s" if kept.waits else "",
            )  # fmt: skip
            kept.process, kept.due = None, now + kept.waits
        return 0

    def _end(self) -> None:
        running = [k.process for k in self._kept if k.process is not None]
        for process in running:
            process.terminate()
        end = time.monotonic() + _PATIENCE
        for process in running:
            try:
                process.wait(max(end - time.monotonic(), 0))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _socket(default: int) -> socket.socket:
    if _SOCKET in os.environ:
        return socket.socket(fileno=int(os.environ[_SOCKET]))
    host, port = address(default)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=1024)
