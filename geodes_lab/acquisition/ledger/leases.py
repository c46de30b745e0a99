"""Products that wait, each taken by one engine at a time: a lease ends, so that a dead engine's work is taken over."""

from __future__ import annotations

import json
import os
import secrets
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from geodes_lab.acquisition import news
from geodes_lab.acquisition.identity import Identity
from geodes_lab.acquisition.ledger.looks import withdraw
from geodes_lab.acquisition.ledger.tables import Database, looks, products
from geodes_lab.acquisition.publication import Publication, Withdrawal

_p = products.c


class LeaseLost(Exception):
    """Another engine has taken this product over: whatever this one knows of it is out of date."""


@dataclass(frozen=True)
class Task:
    """One product that this engine works on, until its lease ends."""

    number: int
    fence: int
    """Counts the engines that took it; an engine with an older number may change nothing."""
    source: str
    collection: str
    publication: Publication
    attempts: int


class Leases:
    """The leases of one engine.

    Parameters
    ----------
    database
        The rows of the products.
    seconds
        After which an engine that shows no sign of life is dead.
    clock
        Seconds since 1970.
    """

    def __init__(self, database: Database, seconds: float, clock: Callable[[], float] = time.time) -> None:
        self.database, self.seconds, self.clock = database, seconds, clock
        self.owner = f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(4)}"

    def take(self) -> Task | None:
        """Take the next product that waits, or whose engine is dead; None: nothing waits now."""
        now = self.clock()
        held = sa.select(looks.c.source).where(looks.c.hold > now)
        with self.database.change() as c:
            row = c.execute(
                sa.select(products)
                .where(_p.state == "waiting", _p.later <= now, _p.until <= now, _p.source.not_in(held))
                .order_by(_p.published, _p.number)
                .limit(1)
                .with_for_update(skip_locked=True)
            ).first()
            if row is None:
                return None
            values = {"owner": self.owner, "fence": row.fence + 1, "until": now + self.seconds}
            c.execute(sa.update(products).where(_p.number == row.number).values(**values))
        publication = Publication.of(row.document)
        return Task(row.number, row.fence + 1, row.source, row.collection, publication, row.attempts)

    def renew(self, task: Task) -> None:
        """Show a sign of life.

        Raises
        ------
        LeaseLost
            If another engine has taken the product; the same for all changes below.
        """
        with self.database.change() as c:
            self._move(c, task, until=self.clock() + self.seconds)

    def stored(
        self,
        task: Task,
        identity: Identity,
        key: str,
        item: dict[str, Any],
        evidence: str,
        *,
        received: int,
        seconds: float,
        layout: Sequence[str] = (),
    ) -> None:
        """Record that a product is whole in the datalake; ``layout`` is how it is made."""
        values = {"acquisition": identity.acquisition, "key": key, "item": json.dumps(item), "evidence": evidence}
        with self.database.change() as c:
            self._move(c, task, state="stored", until=0.0, reason="", received=received, seconds=seconds, **values)
            processing = str(item["properties"].get("processing:version") or "")
            news.of_product(c, task.source, task.collection, identity, processing, layout, self.clock())

    def postpone(self, task: Task, why: str, seconds: float, *, counts: bool = True) -> None:
        """Try a product again later; ``counts`` is False if it is not the product's fault."""
        with self.database.change() as c:
            attempts = task.attempts + counts
            self._move(c, task, until=0.0, later=self.clock() + seconds, attempts=attempts, reason=why[:500])

    def refuse(self, task: Task, why: str) -> None:
        """Give a product up; if it was published under another Id too, that one is tried."""
        mark = f"{task.source}/{task.publication.id}/{task.publication.revision}"
        text = f"{task.publication.name} is refused: {why[:300]}"
        with self.database.change() as c:
            self._move(c, task, state="refused", until=0.0, attempts=task.attempts + 1, reason=why[:500])
            _promote(c, task.number)
            news.tell(c, "refusal", mark, text, {"product": task.publication.name, "reason": why[:500]}, self.clock())

    def withdraw(self, task: Task, why: str) -> None:
        """Record that the source of a product has it no longer."""
        gone = Withdrawal(task.publication.id, task.publication.name, datetime.fromtimestamp(self.clock(), UTC), why)
        with self.database.change() as c:
            self._move(c, task, until=0.0, reason=why[:500])
            withdraw(c, task.source, task.collection, gone, self.clock())
            _promote(c, task.number)

    def again(self, source: str | None = None) -> int:
        """Let refused products wait again, all or those of a source; returns how many."""
        where = [_p.state == "refused", _p.revision != "", *([_p.source == source] if source else [])]
        with self.database.change() as c:
            return c.execute(sa.update(products).where(*where).values(state="waiting", attempts=0, later=0.0)).rowcount

    def not_waiting(self, numbers: Sequence[int]) -> set[int]:
        """Return those of some products that no engine works on: what is left of them can be removed."""
        with self.database.change() as c:
            waiting = (
                c.execute(sa.select(_p.number).where(_p.number.in_(numbers), _p.state == "waiting")).scalars().all()
            )
        return set(numbers) - set(waiting)

    def next_time(self) -> float | None:
        """Return when the next product may be tried; None: none waits."""
        when = sa.case((_p.until > _p.later, _p.until), else_=_p.later)
        with self.database.change() as c:
            earliest: float | None = c.execute(sa.select(sa.func.min(when)).where(_p.state == "waiting")).scalar()
        return earliest

    def _move(self, c: Connection, task: Task, **values: Any) -> None:
        where = (_p.number == task.number, _p.fence == task.fence, _p.owner == self.owner, _p.state == "waiting")
        if c.execute(sa.update(products).where(*where).values(**values)).rowcount != 1:
            raise LeaseLost


def _promote(c: Connection, number: int) -> None:
    """Let the same product under another Id wait, instead of one that does not come."""
    same = (_p.twin == number, _p.state == "same")
    other = c.execute(sa.select(_p.number).where(*same).order_by(_p.number).limit(1)).scalar()
    if other is not None:
        c.execute(sa.update(products).where(_p.number == other).values(state="waiting", twin=None))
        c.execute(sa.update(products).where(*same).values(twin=other))
