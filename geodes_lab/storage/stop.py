"""A request to threads that wait for the network or a lock: end soon, and leave what is there as it is."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from typing import TypeVar

import httpx

_T = TypeVar("_T")
_LOOK = 0.2  # seconds between two looks


class Stopped(Exception):
    """The task was asked to end."""


class Stop:
    """Shared by the threads of one call: each looks often, and connections that wait are closed."""

    def __init__(self) -> None:
        self._event, self._lock = threading.Event(), threading.Lock()
        self._answers: list[httpx.Response] = []

    def set(self) -> None:
        """Ask all threads to end."""
        self._event.set()
        with self._lock:
            for answer in self._answers:
                _close(answer)

    def check(self) -> None:
        """Raise `Stopped` if the task was asked to end."""
        if self._event.is_set():
            raise Stopped

    def wait(self, seconds: float) -> None:
        """Sleep, but no longer than until the task is asked to end; then raise `Stopped`."""
        if self._event.wait(seconds):
            raise Stopped

    def look(self) -> None:
        """Wait a moment for somebody else, such as the holder of a lock."""
        self.wait(_LOOK)

    def result(self, future: Future[_T]) -> _T:
        """Return the result of a future, unless the task is asked to end before."""
        while True:
            try:
                return future.result(_LOOK)
            except TimeoutError:
                if future.done():
                    return future.result()
                if self._event.is_set():
                    future.cancel()
                    raise Stopped from None

    @contextlib.contextmanager
    def watching(self, answer: httpx.Response) -> Iterator[None]:
        """Close the connection of an answer if the task is asked to end while it is read."""
        with self._lock:
            self._answers.append(answer)
        try:
            self.check()
            yield
        finally:
            with self._lock:
                self._answers.remove(answer)


def _close(answer: httpx.Response) -> None:
    stream = answer.extensions.get("network_stream")
    connection = stream.get_extra_info("socket") if stream is not None else None
    if connection is not None:
        with contextlib.suppress(OSError):
            # The reading thread sees an end at once; closing the file descriptor under it would not wake it.
            socket.socket.shutdown(connection, socket.SHUT_RDWR)
