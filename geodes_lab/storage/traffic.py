"""How many requests and bytes this process has asked for."""

from __future__ import annotations

import threading
from collections import Counter


class Traffic:
    """Requests and bytes that this process asks for; GDAL's own requests are not counted."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.requests = 0
        self.bytes = 0
        self.retries: Counter[str] = Counter()
        """Requests that failed and were repeated, by the path that GDAL would open the object by."""

    def add(self, requests: int, size: int) -> None:
        """Count requests, and their bytes."""
        with self._lock:
            self.requests += requests
            self.bytes += size

    def again(self, path: str) -> None:
        """Count a request that is repeated."""
        with self._lock:
            self.retries[path] += 1


traffic = Traffic()
