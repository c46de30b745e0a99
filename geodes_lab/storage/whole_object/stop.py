"""A request to threads that wait for the network or a lock: end soon, and leave what is there as it is."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

_T = TypeVar("_T")
_LOOK = 0.2  # seconds between two looks


class Stopped(Exception):
    """The task was asked to end."""


class Stop:
    """Shared by the threads of one call: each looks often, and connections that wait are closed."""

    def __init__(self) -> None:
        self._event, self._lock = threading.Event(), threading.Lock()
        self._streams: list[Any] = []

    def set(self) -> None:
        """Ask all threads to end."""
        self._event.set()
        with self._lock:
            for stream in self._streams:
                _close(stream)

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
    def connections(self) -> Iterator[Callable[[Any], None]]:
        """Give a function that takes streams of httpcore, which are closed if the task is asked to end."""
        own: list[Any] = []

        def opened(stream: Any) -> None:
            with self._lock:
                own.append(stream)
                self._streams.append(stream)
                if self._event.is_set():
                    _close(stream)

        try:
            self.check()
            yield opened
        finally:
            with self._lock:
                for stream in own:
                    self._streams.remove(stream)


def _close(stream: Any) -> None:
    connection = stream.get_extra_info("socket")
    if connection is not None:
        with contextlib.suppress(OSError):
            # The reading thread sees an end at once; closing the file descriptor under it would not wake it.
            socket.socket.shutdown(connection, socket.SHUT_RDWR)
