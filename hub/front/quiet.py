"""A log that a flood of messages does not fill.

The same message is logged a few times a minute, then only the number of omitted ones.
"""

from __future__ import annotations

import logging
import re
import threading
from collections import Counter

_VARIES = re.compile(r"0x[0-9a-fA-F]+|[0-9a-f]{16,}|\d+")
_SAME, _PLACE, _KINDS = 5, 300, 1000
_LONGEST = 4000  # characters of one message: a path of 64 KiB may come from outside


class Quiet(logging.Filter):
    """A filter of a log handler.

    Parameters
    ----------
    same
        How many messages that differ only in numbers pass within a window.
    place
        How many messages from one line of the program pass, whatever they say.
    seconds
        The window.
    """

    def __init__(self, same: int = _SAME, place: int = _PLACE, seconds: float = 60) -> None:
        super().__init__()
        self._same, self._place, self._seconds = same, place, seconds
        self._lock = threading.Lock()
        self._begin()

    def _begin(self) -> None:
        self._seen: Counter[object] = Counter()
        self._left_out: Counter[tuple[str, int, str]] = Counter()
        self._window: threading.Timer | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a message passes."""
        if getattr(record, "sums_up", False):
            return True
        text = record.getMessage()
        error = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else ""
        kind = (record.name, record.levelno, f"{_VARIES.sub('#', text[:200])} {error}".strip())
        place = (record.pathname, record.lineno)
        with self._lock:
            if self._window is None:
                self._window = threading.Timer(self._seconds, self._end)
                self._window.daemon = True
                self._window.start()
            kind = kind if kind in self._seen or len(self._seen) < _KINDS else (record.name, record.levelno, "others")
            self._seen[kind] += 1
            self._seen[place] += 1
            passes = self._seen[kind] <= self._same and self._seen[place] <= self._place
            if not passes:
                self._left_out[kind] += 1
        if passes and len(text) > _LONGEST:
            record.msg, record.args = f"{text[:_LONGEST]}… ({len(text)} characters)", ()
        return passes

    def _end(self) -> None:
        with self._lock:
            reported = self._left_out.most_common(20)
            rest = sum(self._left_out.values()) - sum(count for _, count in reported)
            self._begin()
        for (name, level, text), count in reported:
            sentence = f"Left out of the log, {count} times within {self._seconds:g} s: {text}"
            logging.getLogger(name).log(level, "%s", sentence, extra={"sums_up": True})
        if rest:
            logging.getLogger(reported[0][0][0]).warning("%d others were left out too.", rest, extra={"sums_up": True})


CONFIG = {
    "filters": {"quiet": {"()": "hub.front.quiet.Quiet"}},
    "handlers": {"console": {"filters": ["quiet"]}},
    # asyncio logs errors in callbacks itself, not through the hub's log.
    "loggers": {"asyncio": {"handlers": ["console"], "propagate": False}},
}
"""An addition to JupyterHub's log settings."""
