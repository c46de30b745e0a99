"""Products on tape: whether one is there now, and the request to bring it back, where a service takes one."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import quote

from geodes_lab import settings
from geodes_lab.acquisition.publication import Publication
from geodes_lab.acquisition.sources.login import Tokens
from geodes_lab.credentials import origin
from geodes_lab.errors import GeodesError
from geodes_lab.storage import tape
from geodes_lab.storage.fetch import OnTape

_AGAIN = 86400.0  # seconds after which the same product is ordered again


@dataclass
class Orders:
    """Orders at a service with the interface of Copernicus's archives: ``POST Products(Id)/OData.CSC.Order``."""

    name: str
    """The source's."""
    address: str
    """Of its OData service."""
    tokens: Tokens
    clock: Callable[[], float] = time.monotonic
    _ordered: dict[str, float] = field(default_factory=dict)

    def place(self, publication: Publication) -> str:
        """Order a product, unless it was ordered in the last day; returns what became of it, as a part of a sentence.

        An order that is refused is no error of the product: somebody may bring it back by other means.
        """
        now = self.clock()
        if now - self._ordered.get(publication.id, -_AGAIN) < _AGAIN:
            return "it was ordered, and is not there yet"
        try:
            self.tokens.ask("POST", f"{self.address}/Products({quote(publication.id)})/OData.CSC.Order", {})
        except GeodesError as error:
            return f"its order was not taken ({str(error).rstrip('.')}); order it yourself"
        self._ordered[publication.id] = now
        return "it was ordered now"


def refuse_at_geodes(publication: Publication) -> None:
    """Ask a portal of GEODES whether a product is on disk; if it does not say, its download will.

    Raises
    ------
    OnTape
        If it is on tape. GEODES has no request for a program that brings it back: the sentence says where to ask.
    """
    hosts = settings.get("download.hosts")
    download = next((h for h in publication.hrefs if "/api/download/" in h and origin.listed(h, hosts)), None)
    if download is None:
        return
    others = [h for h in publication.hrefs if h != download]
    one = tape.Product(publication.name, download, others[0] if others else None)
    try:
        state = tape.on_disk([one])
    except GeodesError:
        return
    if state == [False]:
        raise OnTape(f"{publication.name} is on tape, and cannot be fetched now: {one.way_out}.")
