"""Products that are whole in the datalake: their entries in the catalogue, and what is removed later."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Row

from geodes_lab.acquisition import news
from geodes_lab.acquisition.ledger.tables import Database, conversions, products
from geodes_lab.acquisition.publication import Publication

_p = products.c
_HERE = ("stored", "done")


@dataclass(frozen=True)
class Entry:
    """A product that is whole in the datalake."""

    number: int
    source: str
    collection: str
    name: str
    acquisition: str
    published: str
    key: str
    """Its key in the datalake."""
    item: dict[str, Any]
    properties: dict[str, Any]
    """As its source publishes them: they tell processings apart."""
    superseded: float | None
    """When another one took its place; seconds since 1970."""
    withdrawn: str | None
    """When its source deleted it."""
    done: float | None
    """When it came into the catalogue; None: not yet."""
    converted: dict[str, Any]
    """``assets`` and ``stac_extensions`` that its converted bands add to the Item; empty: none are there."""


@dataclass(frozen=True)
class Entries:
    """The entries of a datalake."""

    database: Database
    clock: Callable[[], float] = time.time
    """Seconds since 1970."""

    def waiting(self, most: int) -> list[Entry]:
        """Return products that are whole and not in the catalogue yet, or whose Item there is out of date."""
        return self._read(sa.select(products).where(_p.state == "stored").order_by(_p.number).limit(most))

    def of_acquisitions(self, collection: str, acquisitions: Iterable[str]) -> list[Entry]:
        """Return all products of some acquisitions."""
        where = (_p.collection == collection, _p.acquisition.in_(sorted(set(acquisitions))), _p.state.in_(_HERE))
        return self._read(sa.select(products).where(*where).order_by(_p.number))

    def entered(self, new: Sequence[Entry], older: Sequence[Entry], newest: Sequence[Entry]) -> None:
        """Record what is in the catalogue, and which products another one supersedes."""
        now = self.clock()
        with self.database.change() as c:
            for one in new:
                where = (_p.number == one.number, _p.state == "stored")
                c.execute(sa.update(products).where(*where).values(state="done", done=one.done or now))
                if one.done is None:
                    news.arrived(c, one.collection, one.name, one.number, one.item, now)
            for one in older:
                since = one.superseded or now
                c.execute(sa.update(products).where(_p.number == one.number).values(superseded=since))
            for one in newest:
                c.execute(sa.update(products).where(_p.number == one.number).values(superseded=None))

    def superseded_before(self, seconds: float, most: int) -> list[Entry]:
        """Return products that another one superseded before a time, in seconds since 1970."""
        where = (_p.state == "done", _p.superseded.is_not(None), _p.superseded < seconds)
        return self._read(sa.select(products).where(*where).order_by(_p.number).limit(most))

    def has_other(self, entry: Entry) -> bool:
        """Whether another product in the datalake has the same name, and so the same Item."""
        same = (_p.collection == entry.collection, _p.name == entry.name, _p.number != entry.number)
        return bool(self._read(sa.select(products).where(*same, _p.state.in_(_HERE)).limit(1)))

    def is_used(self, entry: Entry) -> bool:
        """Whether another product in the datalake has the same key."""
        same = (_p.key == entry.key, _p.number != entry.number, _p.state.in_(_HERE))
        return bool(self._read(sa.select(products).where(*same).limit(1)))

    def removed(self, entry: Entry) -> None:
        """Record that a product is no longer in the datalake."""
        with self.database.change() as c:
            c.execute(sa.update(products).where(_p.number == entry.number).values(state="removed"))
            c.execute(sa.delete(conversions).where(conversions.c.number == entry.number))

    def _read(self, query: sa.Select[Any]) -> list[Entry]:
        with self.database.change() as c:
            rows = c.execute(query).all()
            of = conversions.c
            several = sa.select(of.number, of.assets).where(of.number.in_([r.number for r in rows]), of.state == "done")
            converted = {r.number: json.loads(r.assets) for r in c.execute(several)} if rows else {}
            return [_entry(row, converted.get(row.number, {})) for row in rows]


def _entry(row: Row[Any], converted: dict[str, Any]) -> Entry:
    return Entry(
        row.number,
        row.source,
        row.collection,
        row.name,
        row.acquisition,
        row.published,
        row.key,
        json.loads(row.item),
        Publication.of(row.document).properties,
        row.superseded,
        row.withdrawn,
        row.done,
        converted,
    )
