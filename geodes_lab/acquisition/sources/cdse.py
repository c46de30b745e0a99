"""The Copernicus Data Space Ecosystem: publications and deletions by OData, and subscriptions."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any
from urllib.parse import quote

from shapely.geometry import box

from geodes_lab.acquisition.publication import Page, Publication
from geodes_lab.acquisition.settings.sources import Cdse as Settings
from geodes_lab.acquisition.sources import Request, odata
from geodes_lab.acquisition.sources.login import Tokens
from geodes_lab.acquisition.sources.recall import Orders
from geodes_lab.catalog.remote.service import Service
from geodes_lab.errors import GeodesError
from geodes_lab.storage.fetch import OnTape, Remote
from geodes_lab.storage.location import locate
from geodes_lab.util import instant

log = logging.getLogger("geodes_lab.acquisition")
_NOTICES = 20  # of a subscription in one answer; the service gives no more
_ROUNDS = 5_000  # answers of a subscription in one look: its queue has 100 000 notices at most


@dataclass(frozen=True)
class Cdse:
    """The source of one account, or of none: searching needs no login."""

    name: str
    settings: Settings

    @cached_property
    def _service(self) -> Service:
        return Service(self.name, self.settings.address)

    @cached_property
    def _tokens(self) -> Tokens | None:
        login = self.settings.login
        return None if login is None else Tokens(self.name, self.settings.identity, login)

    def look(self, request: Request, position: str) -> Iterator[Page]:
        """Yield what the subscription announced, then what was published and deleted since the position.

        The second part fills what the first one missed: its queue forgets, and the service may not send.
        """
        if self.settings.subscription is not None:
            try:
                yield from self._notices(request)
            except GeodesError as error:
                log.warning("%s", error)
        began = instant.text(datetime.now(UTC))
        known = _Position.read(position)
        last = known.published
        for page, last in self._pages("Products", "PublicationDate", request, known.published):
            published, refused = odata.publications(page, self.settings.download)
            yield Page(published, refused=refused, position=_Position(last, known.deleted).text())
        # What was deleted before the first look was never here.
        gone = known.deleted or began
        for page, gone in self._pages("DeletedProducts", "DeletionDate", request, known.deleted or began):
            yield Page(withdrawn=odata.withdrawals(page), position=_Position(last, gone).text())
        yield Page(position=_Position(last, gone).text())

    def acknowledge(self, page: Page) -> None:
        """Tell the subscription that the notices of a page, and all before them, are recorded."""
        if page.token and self._tokens is not None:
            address = f"{self.settings.address}/Subscriptions({self.settings.subscription})/Ack"
            self._tokens.ask("POST", address, {"$ackid": page.token})

    def remote(self, publication: Publication) -> Remote:
        """See `Source`."""
        if self._tokens is None:
            raise GeodesError(
                f"{publication.name} cannot be fetched from {self.name} without a login: set sources.{self.name}.login."
            )
        if not publication.is_online and not self._is_online(publication):
            what = self._orders.place(publication) if self.settings.recall and self._orders else "nobody has ordered it"
            raise OnTape(f"{publication.name} is on tape at {self.name}: {what}.")
        address = publication.hrefs[0]
        return Remote(publication.name, address, locate(address), publication.size, None, self._tokens.current)

    @cached_property
    def _orders(self) -> Orders | None:
        return None if self._tokens is None else Orders(self.name, self.settings.address, self._tokens)

    def _is_online(self, publication: Publication) -> bool:
        """Whether a product that was on tape when it was published is there now."""
        answer = self._service.ask("GET", f"/Products({quote(publication.id)})", {})
        return isinstance(answer, dict) and answer.get("Online") is True

    def _pages(self, what: str, order: str, request: Request, since: str) -> Iterator[tuple[list[dict[str, Any]], str]]:
        """Yield pages, each with the time of its last product.

        Each asks from the last product's time on, and skips only what had the same time: however many there are, the
        service's limit for ``$skip`` is never reached.
        """
        start = ""
        if since:
            start = instant.text(datetime.fromisoformat(since) - timedelta(seconds=request.overlap))
        last, skip = start, 0
        while True:
            if skip + self.settings.page > self.settings.window:
                raise GeodesError(
                    f"{self.name} has more than {skip:,} products with the {order} {last}: it does not page through so "
                    "many; ask for fewer, with product_type or region."
                )
            query = {
                "$filter": odata.condition(request.wanted, _box(request), request.start, request.end, order, last),
                "$orderby": f"{order} asc",
                "$top": str(self.settings.page),
                "$skip": str(skip),
                **({"$expand": "Attributes"} if what == "Products" else {}),
            }
            answer = self._service.ask("GET", f"/{what}", query)
            page = odata.page(answer, self.name)
            if not page:
                return
            times = odata.moments(page, order, self.name)
            before, last = last, times[-1]
            same = sum(t == last for t in times)
            skip = skip + len(page) if before == last and same == len(times) else same
            yield page, max(last, since)
            if len(page) < self.settings.page:
                return

    def _notices(self, request: Request) -> Iterator[Page]:
        if self._tokens is None:
            raise GeodesError(f"The subscription of {self.name} needs a login: set sources.{self.name}.login.")
        address = f"{self.settings.address}/Subscriptions({self.settings.subscription})/Read"
        before = ""
        for _ in range(_ROUNDS):
            notices = odata.notices(self._tokens.ask("GET", address, {"$top": str(_NOTICES)}), self.name)
            if not notices:
                return
            published, withdrawn, token = odata.of_notices(notices, request.wanted, self.settings.download)
            if token == before:
                raise GeodesError(
                    f"The subscription of {self.name} gives the same notices again after they were acknowledged."
                )
            before = token
            yield Page(published, withdrawn, token=token)


@dataclass(frozen=True)
class _Position:
    """How far publications and deletions were read."""

    published: str = ""
    deleted: str = ""

    @classmethod
    def read(cls, text: str) -> _Position:
        return cls(**json.loads(text)) if text else cls()

    def text(self) -> str:
        return json.dumps({"published": self.published, "deleted": self.deleted})


def _box(request: Request) -> str | None:
    """Return the box of the area; the area itself is compared afterwards: a query has no place for a coastline."""
    return None if request.area is None else str(box(*request.area.bounds).wkt)
