"""What looks at sources record: new versions of products, and how far each source was read."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from geodes_lab.acquisition import news
from geodes_lab.acquisition.identity import Identity
from geodes_lab.acquisition.ledger.tables import Database, looks, products
from geodes_lab.acquisition.publication import Page, Publication, Withdrawal
from geodes_lab.util import instant
from geodes_lab.util.database import insert_new

_LIVE = ("waiting", "stored", "done")
_p = products.c


@dataclass(frozen=True)
class Looks:
    """The record of the looks at all sources."""

    database: Database
    clock: Callable[[], float] = time.time
    """Seconds since 1970."""

    def position(self, source: str, collection: str) -> tuple[str, float]:
        """Return how far a source was read, and until when it asks not to be asked."""
        with self.database.change() as c:
            row = c.execute(sa.select(looks).filter_by(source=source, collection=collection)).one_or_none()
        return ("", 0.0) if row is None else (row.position, row.hold)

    def record(self, source: str, collection: str, page: Page, several: Sequence[tuple[Publication, Identity]]) -> int:
        """Record a page and the position after it, in one transaction; returns how many versions are new."""
        now = self.clock()
        with self.database.change() as c:
            look = _look(c, source, collection)
            new = self._add(c, source, collection, several, now)
            for name, why in page.refused:
                self._refuse(c, source, collection, name, why, now)
            for gone in page.withdrawn:
                withdraw(c, source, collection, gone, now)
            news.of_page(c, source, page, several, now, quiet=not look.looked)
            values = {"looked": now, "failed": "", "failing_since": None, "position": page.position or look.position}
            c.execute(sa.update(looks).filter_by(source=source, collection=collection).values(**values))
            if look.failing_since is not None:
                news.tell(c, "recovery", f"{source}/{look.failing_since:.0f}", f"{source} answers again.", {}, now)
        return new

    def failed(self, source: str, collection: str, why: str, hold: float = 0.0) -> None:
        """Record that a look failed; its position stays. ``hold`` are seconds for which the source is left alone."""
        now = self.clock()
        with self.database.change() as c:
            look = _look(c, source, collection)
            since = look.failing_since if look.failing_since is not None else now
            values = {"failed": why[:500], "failing_since": since, "hold": max(look.hold, now + hold if hold else 0.0)}
            c.execute(sa.update(looks).filter_by(source=source, collection=collection).values(**values))
            evidence = {"error": why[:500], "since": news.moment(since)}
            news.tell(c, "outage", f"{source}/{since:.0f}", f"{source} cannot be read: {why[:300]}", evidence, now)

    def hold(self, source: str, seconds: float) -> None:
        """Ask nothing of a source for some time: it said so."""
        with self.database.change() as c:
            c.execute(sa.update(looks).filter_by(source=source).values(hold=self.clock() + seconds))

    def known(self, source: str, collection: str, after: str = "", most: int | None = None) -> dict[str, str]:
        """Return the ids of a source's products that are not withdrawn, with their names; some, or all."""
        where = (_p.source == source, _p.collection == collection, _p.withdrawn.is_(None), _p.revision != "")
        query = sa.select(_p.upstream, _p.name).where(*where, _p.upstream > after).order_by(_p.upstream)
        with self.database.read() as c:
            rows = c.execute(query.limit(most)).all()
        return {r.upstream: r.name for r in rows}

    def _add(
        self, c: Connection, source: str, collection: str, several: Sequence[tuple[Publication, Identity]], now: float
    ) -> int:
        names, ids = {i.name for _, i in several}, {p.id for p, _ in several}
        # Two questions, each of one index: with "or", or with the collection in both, SQLite reads all that is known.
        named = sa.and_(_p.collection == collection, _p.name.in_(names))
        published = sa.and_(_p.source == source, _p.upstream.in_(ids))
        found = (r for where in (named, published) for r in c.execute(sa.select(products).where(where)))
        by_number = {r.number: r for r in found if r.collection == collection}
        known: list[Row[Any]] = [by_number[number] for number in sorted(by_number)]
        there = {(r.source, r.upstream, r.revision) for r in known}
        new = 0
        for publication, identity in several:
            mark = (source, publication.id, publication.revision)
            if mark in there:
                self._restore(c, mark, collection)
                continue
            there.add(mark)
            for old in known:
                if (old.source, old.upstream, old.state) == (source, publication.id, "waiting"):
                    values = {"state": "replaced", "reason": "Upstream has another version of it."}
                    c.execute(sa.update(products).where(_p.number == old.number).values(**values))
            others = (r for r in known if r.name == identity.name and r.state in _LIVE and r.upstream != publication.id)
            twin = next((r for r in others if publication.is_like(Publication.of(r.document)) is not False), None)
            row = {
                "source": source, "upstream": publication.id, "revision": publication.revision,
                "collection": collection, "name": identity.name, "acquisition": identity.acquisition,
                "document": publication.text(), "published": instant.text(publication.published),
                "size": publication.size, "found": now,
                "state": "waiting" if twin is None else "same", "twin": None if twin is None else twin.number,
            }  # fmt: skip
            done = c.execute(sa.insert(products).values(**row)).inserted_primary_key
            # The same product may be in one page twice: the second is compared with the first.
            known += c.execute(sa.select(products).where(_p.number == done[0])).all()  # type: ignore[index]
            new += 1
        return new

    def _restore(self, c: Connection, mark: tuple[str, str, str], collection: str) -> None:
        """Let a product that is published again be as it was before its source deleted it."""
        same = dict(zip(("source", "upstream", "revision"), mark, strict=True), collection=collection)
        for row in c.execute(sa.select(products).filter_by(**same).where(_p.withdrawn.is_not(None))).all():
            state = {"withdrawn": "waiting", "done": "stored"}.get(row.state, row.state)
            values = {"withdrawn": None, "state": state, "twin": None}
            c.execute(sa.update(products).where(_p.number == row.number).values(**values))

    def _refuse(self, c: Connection, source: str, collection: str, name: str, why: str, now: float) -> None:
        mark = {"source": source, "upstream": name[:500], "revision": "", "collection": collection}
        if c.execute(sa.select(_p.number).filter_by(**mark)).first() is not None:
            return
        row = {**mark, "name": name[:500], "acquisition": "", "document": "{}", "published": news.moment(now)}
        c.execute(sa.insert(products).values(**row, state="refused", reason=why[:500], found=now))
        news.tell(c, "refusal", f"{source}/{name[:300]}", why[:300], {"product": name[:300], "reason": why[:500]}, now)


def withdraw(c: Connection, source: str, collection: str, gone: Withdrawal, now: float) -> None:
    """Record, within a transaction, that a source has a product no longer: it is told, and the datalake keeps it."""
    where = (_p.source == source, _p.upstream == gone.id, _p.collection == collection, _p.withdrawn.is_(None))
    rows = c.execute(sa.select(products).where(*where)).all()
    for row in rows:
        # What is in the datalake gets a new Item, which says so.
        state = {"waiting": "withdrawn", "same": "withdrawn", "done": "stored"}.get(row.state, row.state)
        values = {"withdrawn": instant.text(gone.when), "state": state, "until": 0.0}
        c.execute(sa.update(products).where(_p.number == row.number).values(**values))
    if rows:
        evidence = {"product": rows[0].name, "id": gone.id, "when": instant.text(gone.when), "why": gone.why}
        text = f"{rows[0].name} was deleted at {source}{f': {gone.why}' if gone.why else ''}."
        news.tell(c, "deletion", f"{source}/{gone.id}", text, evidence, now)


def _look(c: Connection, source: str, collection: str) -> Row[Any]:
    query = sa.select(looks).filter_by(source=source, collection=collection).with_for_update()
    row = c.execute(query).one_or_none()
    if row is None:
        insert_new(c, looks, {"source": source, "collection": collection})
        row = c.execute(query).one()
    return row
