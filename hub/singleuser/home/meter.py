"""The home's size while a server runs: measured once for all who ask, and as often as that costs little."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

from hub.singleuser import tongue
from hub.singleuser.home import space
from hub.singleuser.home.space import Space

_LEAST, _MOST = 5.0, 600.0  # seconds for which a measurement counts
_SHARE = 20  # of the time, one part in so many may be spent on measuring
_REFUSAL = {
    "en": "Your home is full: {used} of {quota} are used, and this needs {growth} more. Nothing was saved. Delete "
    "files that you no longer need: the page geodes/space of your server shows the largest. You can still open and "
    "download all your files.",
    "fr": "Votre espace est plein : {used} sur {quota} sont utilisés, et ceci demande {growth} de plus. Rien n'a été "
    "enregistré. Supprimez des fichiers dont vous n'avez plus besoin : la page geodes/space de votre serveur montre "
    "les plus gros. Vous pouvez toujours ouvrir et télécharger tous vos fichiers.",
}
_PATIENCE = 300.0  # seconds for one measurement


class Meter:
    """Measures a home.

    Parameters
    ----------
    home
        The home.
    measure
        What measures it.
    """

    def __init__(self, home: Path, measure: Callable[[Path, float], Space] = space.measure) -> None:
        self.home = home.resolve()
        self._measure, self._lock = measure, asyncio.Lock()
        self._space: Space | None = None
        self._begun = self._ended = 0.0
        self._aside: asyncio.Task[Space] | None = None

    async def now(self) -> Space:
        """Return the last measurement, or a new one if that is too old."""
        return await self.anew() if self._space is None or self._is_old() else self._space

    def _is_old(self) -> bool:
        lasts = min(max(_LEAST, (self._ended - self._begun) * _SHARE), _MOST)
        return time.monotonic() - self._ended > lasts

    async def anew(self) -> Space:
        """Measure; who asks while that goes on gets the next measurement, together."""
        asked = time.monotonic()
        async with self._lock:
            if self._space is None or self._begun < asked:
                begun = time.monotonic()
                self._space = await asyncio.to_thread(self._measure, self.home, _PATIENCE)
                self._begun, self._ended = begun, time.monotonic()
            return self._space

    def grew(self, size: int) -> None:
        """Count what was written since the last measurement."""
        if self._space is not None and self._space.used is not None:
            self._space = replace(self._space, used=self._space.used + size)

    async def refusal(self, growth: int) -> str:
        """Say why the home must not grow by some bytes, in the language of the request; empty if it may.

        A save does not wait for the measurement of a large home, but what is refused was measured for it: whoever has
        just removed files in a terminal is not refused.
        """
        if growth <= 0 or not space.limit():
            return ""
        if not _is_over(self._space or await self.anew(), growth):
            if self._is_old() and (self._aside is None or self._aside.done()):
                self._aside = asyncio.create_task(self.anew())
            return ""
        now = await self.anew()
        if not _is_over(now, growth):
            return ""
        return _REFUSAL[tongue.now()].format(
            used=space.said(now.used), quota=space.said(now.quota), growth=space.said(growth)
        )


def _is_over(now: Space, growth: int) -> bool:
    return now.quota > 0 and now.used is not None and now.used + growth > now.quota


@cache
def meter() -> Meter:
    """Return the one of this server's home."""
    return Meter(Path.home())
