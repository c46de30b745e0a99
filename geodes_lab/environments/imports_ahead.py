"""Modules that a process will need are imported while it has nothing else to do."""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Sequence

QUIET = 10.0
"""Seconds without work after which a process is taken to have nothing to do."""


def bring(name: str) -> bool:
    """Import a module; with ``module:function`` call that function too.

    Returns
    -------
    bool
        Whether the function has more to do, and wants to be called again.
    """
    module, _, function = name.partition(":")
    imported = importlib.import_module(module)
    return bool(function) and getattr(imported, function)() is True


class Ahead:
    """Imports modules in a thread, one after the other, and none while something else works.

    Two threads that import at once can see each other's modules half made. So `pause` waits until the module that is
    being imported is there, and until `go_on` no other begins.

    Parameters
    ----------
    names
        The modules, in their order, as `bring` takes them. The first that fails ends it: who needs that module gets
        the error.
    last
        More of them, which nobody will wait for: they begin when nothing has worked for `QUIET` seconds.
    """

    def __init__(self, names: Sequence[str], last: Sequence[str] = ()) -> None:
        self._names, self._last, self._since = names, last, time.monotonic()
        self._free, self._importing = threading.Event(), threading.Lock()
        self._free.set()
        self._thread = threading.Thread(target=self._import, name="imports-ahead", daemon=True)
        self._thread.start()

    def pause(self, *_: object) -> None:
        """Begin no further module, and wait for the one that is being imported."""
        self._free.clear()
        with self._importing:
            pass

    def go_on(self, *_: object) -> None:
        """Begin the next module."""
        self._since = time.monotonic()
        self._free.set()

    def wait(self, seconds: float) -> bool:
        """Wait until it has ended; say whether it has."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _import(self) -> None:
        left = [*self._names, *self._last]
        while left:
            self._free.wait()
            if len(left) <= len(self._last) and (early := self._since + QUIET - time.monotonic()) > 0:
                time.sleep(early)
                continue
            with self._importing:
                if not self._free.is_set():  # it was paused before this began
                    continue
                try:
                    has_more = bring(left[0])
                except ModuleNotFoundError:
                    has_more = False  # an extra that is not installed
                except Exception:
                    return
                if not has_more:
                    del left[0]
