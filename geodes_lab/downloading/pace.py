"""When a server may be asked again: what happens where the quota of an account is used up."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

from geodes_lab.credentials.origin import origin
from geodes_lab.errors import GeodesError
from geodes_lab.storage.fetch import QuotaUsedUp
from geodes_lab.storage.whole_object.stop import Stop

_T = TypeVar("_T")
# The service counts products per hour and does not say when the hour began, so it is asked again and again.
_ASK_AGAIN = 300.0  # seconds
_PATIENCE = 2 * 3600.0  # seconds that are waited in all, for one product


class QuotaWait(UserWarning):
    """The quota is used up, and the download waits."""


class Pace:
    """Shared by the threads of one download: what one of them is refused, the others do not ask for."""

    def __init__(self, waits: bool, stop: Stop) -> None:
        self._waits, self._stop, self._lock = waits, stop, threading.Lock()
        self._until: dict[str, float] = {}
        self._refusal: dict[str, QuotaUsedUp] = {}

    def run(self, name: str, address: str, call: Callable[[], _T]) -> _T:
        """Call, when the server of an address may be asked; wait for the quota, or stop.

        Parameters
        ----------
        name
            The product's name.
        address
            Where it comes from; empty: from where nobody counts.
        call
            Downloads it.

        Raises
        ------
        GeodesError
            If the quota is used up, and the user chose to stop; or for two hours.
        """
        if not address:
            return call()
        home = origin(address)
        server, began = home.text if home else "", time.monotonic()
        while True:
            self._turn(name, server)
            try:
                return call()
            except QuotaUsedUp as error:
                if not self._waits:
                    with self._lock:
                        self._refusal.setdefault(server, error)
                    raise _stopped(name, server, error) from error
                seconds = error.after if error.after is not None else _ASK_AGAIN
                if time.monotonic() - began + seconds > _PATIENCE:
                    raise GeodesError(
                        f"{name} could not be downloaded: the quota of {server} is used up, and was not renewed within "
                        f"{_PATIENCE / 3600:.0f} hours; call again later, what is there is kept."
                    ) from error
                self._hold(server, seconds)

    def _turn(self, name: str, server: str) -> None:
        with self._lock:
            refusal, until = self._refusal.get(server), self._until.get(server, 0.0)
        if refusal is not None:
            raise _stopped(name, server, refusal)
        self._stop.wait(max(until - time.monotonic(), 0.0))

    def _hold(self, server: str, seconds: float) -> None:
        now = time.monotonic()
        with self._lock:
            is_known = self._until.get(server, 0.0) > now
            self._until[server] = max(self._until.get(server, 0.0), now + seconds)
        if not is_known:
            when = datetime.now().astimezone() + timedelta(seconds=seconds)
            warnings.warn(
                f"The quota of {server} is used up: it is asked again at {when:%H:%M:%S}.", QuotaWait, stacklevel=2
            )


def _stopped(name: str, server: str, error: QuotaUsedUp) -> GeodesError:
    when = f"in {error.after:.0f} seconds" if error.after is not None else "in an hour"
    return GeodesError(
        f"{name} could not be downloaded: the quota of products per hour of {server} is used up; call again {when}, "
        'what is there is kept, or give on_quota="wait".'
    )
