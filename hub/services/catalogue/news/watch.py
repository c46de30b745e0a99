"""Looks for new products of the searches that people want mails of, and sends them.

A product is told once. If the service ends while a mail is on its way, its products count as told: the feed still has
them.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from geodes_lab.errors import GeodesError
from hub.services.catalogue.news import letters, searches
from hub.services.catalogue.news.postman import NotSent, Postman
from hub.services.catalogue.news.store import Address, Store, Wanted
from hub.services.catalogue.shelves import Shelves
from hub.services.duty import held
from hub.services.person import Hub

_log = logging.getLogger("catalogue.news")


class Watch:
    """Looks, again and again.

    Parameters
    ----------
    store, shelves, hub, postman
        Who wants what; what there is; who people are now; who carries it.
    page
        The address of the catalogue's page, as people see it.
    every
        Seconds between two looks.
    duty
        The file of the duty: of all processes, one looks.
    """

    def __init__(
        self, store: Store, shelves: Shelves, hub: Hub, postman: Postman, page: str, every: float, duty: Path
    ) -> None:
        self._store, self._shelves, self._hub, self._postman = store, shelves, hub, postman
        self._page, self._every, self._duty = page, every, duty

    def run(self, stop: threading.Event) -> None:
        """Wait for the duty, then look until told to stop."""
        with held(self._duty):
            self.settle()
            while not stop.wait(self._every):
                try:
                    self.look()
                except Exception:  # whatever one look meets, the next one may not
                    _log.exception("Looking for new products failed; the next look is in %.0f s.", self._every)

    def settle(self) -> None:
        """Count mails whose end is unknown as sent: whoever had the duty before has ended."""
        if lost := self._store.settle():
            _log.warning("The end of mails about %d products is unknown: they are not sent again.", lost)

    def look(self) -> int:
        """Look once; return how many mails were sent. A server that takes none is asked again with the next look."""
        sent = 0
        for address in self._store.confirmed():
            person = self._hub.of(address.person)
            if not person.name:  # has left the lab
                continue
            for wanted in self._store.wanted(address.person):
                try:
                    items = searches.newest(self._shelves, person, searches.read(wanted.search))
                except GeodesError as error:  # the collection is gone, or no longer for this person
                    _log.info("A search of %s finds nothing: %s", address.person, error)
                    continue
                try:
                    sent += self._tell(address, wanted, [i for i in items if searches.came(i) >= wanted.since])
                except NotSent as error:
                    _log.warning("A mail about new products is sent later: %s", error)
        return sent

    def _tell(self, address: Address, wanted: Wanted, items: list[dict[str, Any]]) -> int:
        new = set(self._store.begin(wanted, [str(item["id"]) for item in items]))
        if not new:
            return 0
        is_sent = False
        try:
            told = [item for item in items if str(item["id"]) in new]
            page = f"{self._page}?{wanted.search}"
            links = [(item, self._link(item)) for item in told]
            subject, text = letters.news(address.language, wanted.name, page, links)
            self._postman.send(address.address, subject, text)
            is_sent = True
        finally:
            self._store.end(wanted, sent=is_sent)
        return 1

    def _link(self, item: dict[str, Any]) -> str:
        return f"{self._page}?{urlencode({'collection': item['collection'], 'product': item['id']})}"
