"""A lease that is renewed while its work goes on."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator

from geodes_lab.acquisition.ledger.leases import LeaseLost
from geodes_lab.errors import GeodesError

log = logging.getLogger("geodes_lab.acquisition")


@contextlib.contextmanager
def kept(renew: Callable[[], None], seconds: float) -> Iterator[Callable[[], None]]:
    """Renew a lease in a thread, three times in its seconds; gives a function that raises if the lease is lost."""
    ended, gone = threading.Event(), threading.Event()

    def again() -> None:
        while not ended.wait(seconds / 3):
            try:
                renew()
            except LeaseLost:
                gone.set()
                return
            except GeodesError as error:  # the database does not answer now; the lease may end meanwhile
                log.warning("%s", error)

    def check() -> None:
        if gone.is_set():
            raise LeaseLost

    thread = threading.Thread(target=again, name="lease", daemon=True)
    thread.start()
    try:
        yield check
    finally:
        ended.set()
        thread.join()
