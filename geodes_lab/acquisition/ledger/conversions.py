"""Conversions of products that are in the catalogue: planned once for each, taken by one engine at a time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from geodes_lab.acquisition import news
from geodes_lab.acquisition.ledger.leases import LeaseLost, Leases
from geodes_lab.acquisition.ledger.tables import conversions, products
from geodes_lab.acquisition.telling.french import CONVERSION

_c, _p = conversions.c, products.c


@dataclass(frozen=True)
class Conversion:
    """One product whose bands this engine converts, until its lease ends."""

    number: int
    """Of the product."""
    fence: int
    name: str
    collection: str
    key: str
    """The product's key in the datalake."""
    item: dict[str, Any]
    attempts: int


@dataclass(frozen=True)
class Conversions:
    """The conversions of one engine."""

    leases: Leases
    """Whose engine, clock and database it is."""

    def plan(self, collections: Sequence[str]) -> None:
        """Let all products of some collections wait that are in the catalogue, are the latest, and have no conversion.

        The settings may ask for conversions long after the products came.
        """
        begun = sa.exists().where(_c.number == _p.number)
        wanted = sa.select(_p.number, sa.literal("waiting")).where(
            _p.collection.in_(collections), _p.state == "done", _p.superseded.is_(None), ~begun
        )
        with self.leases.database.change() as c:
            insert = postgresql.insert if c.dialect.name == "postgresql" else sqlite.insert
            # Another engine may plan at the same moment.
            rows = insert(conversions).from_select(["number", "state"], wanted, include_defaults=False)
            c.execute(rows.on_conflict_do_nothing())

    def take(self, collections: Sequence[str]) -> Conversion | None:
        """Take the next one that waits, or whose engine is dead; None: nothing waits now."""
        now = self.leases.clock()
        query = (
            sa.select(conversions, _p.name, _p.collection, _p.key, _p.item)
            .join(products, _p.number == _c.number)
            .where(_c.state == "waiting", _c.later <= now, _c.until <= now)
            .where(_p.collection.in_(collections), _p.state == "done", _p.superseded.is_(None))
            .order_by(_c.number)
            .limit(1)
            .with_for_update(skip_locked=True, of=conversions)
        )
        with self.leases.database.change() as c:
            row = c.execute(query).first()
            if row is None:
                return None
            values = {"owner": self.leases.owner, "fence": row.fence + 1, "until": now + self.leases.seconds}
            c.execute(sa.update(conversions).where(_c.number == row.number).values(**values))
        return Conversion(
            row.number, row.fence + 1, row.name, row.collection, row.key, json.loads(row.item), row.attempts
        )

    def renew(self, one: Conversion) -> None:
        """Show a sign of life.

        Raises
        ------
        LeaseLost
            If another engine has taken the product; the same for all changes below.
        """
        with self.leases.database.change() as c:
            self._move(c, one, until=self.leases.clock() + self.leases.seconds)

    def done(self, one: Conversion, assets: dict[str, Any], size: int, seconds: float) -> None:
        """Record what was converted; the product's Item is entered in the catalogue once more."""
        values = {"assets": json.dumps(assets), "size": size, "seconds": seconds, "reason": ""}
        with self.leases.database.change() as c:
            self._move(c, one, state="done", until=0.0, **values)
            where = (_p.number == one.number, _p.state == "done")
            c.execute(sa.update(products).where(*where).values(state="stored"))

    def postpone(self, one: Conversion, why: str, seconds: float, *, counts: bool = True) -> None:
        """Try it again later; ``counts`` is False if it is not the product's fault."""
        values = {"later": self.leases.clock() + seconds, "attempts": one.attempts + counts, "reason": why[:500]}
        with self.leases.database.change() as c:
            self._move(c, one, until=0.0, **values)

    def refuse(self, one: Conversion, why: str) -> None:
        """Give a conversion up; the product stays as it is."""
        text = f"{one.name} is not converted: {why[:300]}"
        evidence = {"product": one.name, "reason": why[:500]}
        with self.leases.database.change() as c:
            self._move(c, one, state="refused", until=0.0, attempts=one.attempts + 1, reason=why[:500])
            news.tell(c, "refusal", f"{CONVERSION}/{one.number}", text, evidence, self.leases.clock())

    def again(self) -> int:
        """Let refused conversions wait again; returns how many."""
        with self.leases.database.change() as c:
            values = {"state": "waiting", "attempts": 0, "later": 0.0}
            return c.execute(sa.update(conversions).where(_c.state == "refused").values(**values)).rowcount

    def _move(self, c: sa.engine.Connection, one: Conversion, **values: Any) -> None:
        where = (_c.number == one.number, _c.fence == one.fence, _c.owner == self.leases.owner, _c.state == "waiting")
        if c.execute(sa.update(conversions).where(*where).values(**values)).rowcount != 1:
            raise LeaseLost
