"""A server that is told the news, one request each, signed as Standard Webhooks describe it, until it has them.

The ledger has the news and what became of each request, so that none is lost when an engine dies: one may be sent twice
then, with the same id. News of before the webhook was in the settings are not sent.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from geodes_lab.acquisition.ledger.tables import Database, calls, hooks, news
from geodes_lab.acquisition.news import moment
from geodes_lab.acquisition.settings import config
from geodes_lab.credentials import tls
from geodes_lab.errors import GeodesError, shown
from geodes_lab.util import faults
from geodes_lab.util.database import insert_new

log = logging.getLogger("geodes_lab.acquisition")
_TIMEOUT = 10.0  # seconds for one request
_LEASE = 60.0  # seconds after which another engine sends what this one was sending
_MOST = 500  # requests of one round
_PAUSE, _LONGEST = 30.0, 3600.0  # seconds until the server is asked again after a failure, twice as long each time
_ATTEMPTS = 10  # of news that the server refuses (4xx): others must not wait behind it for ever
_LARGEST = 2**14  # bytes of a body
_SETTLED = 3600.0  # seconds: a transaction that has a lower number is over by then
_ASK_AGAIN = (408, 425, 429)


@dataclass(frozen=True)
class Webhook:
    """The server, and what it was told."""

    database: Database
    settings: config.Webhook
    clock: Callable[[], float] = time.time
    """Seconds since 1970."""

    def begin(self) -> None:
        """Record that it is told the news from now on; nothing happens if it is already."""
        self._key()
        with self.database.change() as c:
            insert_new(c, hooks, {"address": self.settings.address, "begun": self.clock()})

    def send(self, check: Callable[[], None]) -> int:
        """Send the news that wait, in order; after a failure, the rest waits too.

        Parameters
        ----------
        check
            Called before each request; may raise.

        Returns
        -------
        int
            How many it took.
        """
        number = 0
        with httpx.Client(
            verify=tls.context(),
            timeout=_TIMEOUT,
            follow_redirects=False,
            trust_env=False,
            headers={"user-agent": "geodes-lab"},
        ) as client:
            for _ in range(_MOST):
                check()
                if (one := self._take()) is None:
                    break
                faults.reach("news.taken")
                why, after = self._ask(client, one)
                faults.reach("news.sent")
                self._record(one, why, after)
                if why:
                    log.warning("%s", why)
                    break
                number += 1
        self._tidy()
        return number

    def _take(self) -> Row[Any] | None:
        now, c_ = self.clock(), calls.c
        with self.database.change() as c:
            mine = self._hook(c)
            if mine.later > now:
                return None
            row = c.execute(
                sa.select(
                    news,
                    sa.func.coalesce(c_.attempts, 0).label("attempts"),
                    sa.func.coalesce(c_.until, 0.0).label("until"),
                )
                .outerjoin(calls, sa.and_(c_.number == news.c.number, c_.address == self.settings.address))
                .where(*self._waits(mine))
                .order_by(news.c.number)
                .limit(1)
            ).first()  # fmt: skip
            if row is None or row.until > now:  # another engine sends it, and the rest after it
                return None
            mark = {"address": self.settings.address, "number": row.number}
            insert_new(c, calls, mark)
            c.execute(sa.update(calls).filter_by(**mark).values(until=now + _LEASE))
        return row

    def _ask(self, client: httpx.Client, one: Row[Any]) -> tuple[str, float | None]:
        """Send one; return why it failed, if it did, and after how many seconds the server wants to be asked again."""
        name, body = f"urn:geodes-lab:acquisition:{one.number}", _body(one)
        sent = str(int(self.clock()))
        digest = hmac.new(self._key(), b".".join((name.encode(), sent.encode(), body)), hashlib.sha256).digest()
        headers = {
            "content-type": "application/json", "webhook-id": name, "webhook-timestamp": sent,
            "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
        }  # fmt: skip
        who = "The server of the webhook"
        try:
            # Its body is never read.
            with client.stream("POST", self.settings.address, content=body, headers=headers) as answer:
                code, after = answer.status_code, answer.headers.get("retry-after", "")
        except (httpx.HTTPError, ValueError) as error:
            return f"{who} does not answer ({shown(str(error))[:200] or type(error).__name__}).", None
        if 200 <= code < 300:
            return "", None
        if 300 <= code < 400:
            return f"{who} redirects ({code}), and news are not sent elsewhere: write its own address.", None
        seconds = float(after) if after.isascii() and after.isdigit() and len(after) < 6 else None
        is_refused = 400 <= code < 500 and code not in _ASK_AGAIN
        what = f"refuses the news {one.number}" if is_refused else "cannot take news now"
        return f"{who} {what} ({code}).", seconds

    def _record(self, one: Row[Any], why: str, after: float | None) -> None:
        now, at = self.clock(), self.settings.address
        mark = {"address": at, "number": one.number}
        with self.database.change() as c:
            failures = self._hook(c).failures + 1 if why else 0
            attempts = one.attempts + 1
            is_over = not why or ("refuses the news" in why and attempts >= _ATTEMPTS)
            values = {"until": 0.0, "attempts": attempts, "reason": why, "done": now if is_over else None}
            c.execute(sa.update(calls).filter_by(**mark).values(**values))
            pause = max(min(_PAUSE * 2 ** min(failures - 1, 20), _LONGEST), after or 0.0) if why else 0.0
            state = {"failures": failures, "reason": why, "later": now + pause if why else 0.0}
            c.execute(sa.update(hooks).filter_by(address=at).values(**state))

    def _tidy(self) -> None:
        """Forget requests that are done with, and that no transaction can come before."""
        at, c_ = self.settings.address, calls.c
        with self.database.change() as c:
            waits = c.execute(
                sa.select(sa.func.min(news.c.number))
                .outerjoin(calls, sa.and_(c_.number == news.c.number, c_.address == at))
                .where(*self._waits(self._hook(c)))
            ).scalar()
            old = (news.c.number > self._hook(c).position, news.c.time < self.clock() - _SETTLED)
            settled = sa.select(sa.func.max(news.c.number)).where(*old)
            position = c.execute(settled).scalar() or 0
            if waits is not None:
                position = min(position, waits - 1)
            c.execute(
                sa.update(hooks).where(hooks.c.address == at, hooks.c.position < position).values(position=position)
            )
            c.execute(sa.delete(calls).where(c_.address == at, c_.number <= position))

    def _waits(self, mine: Row[Any]) -> list[sa.ColumnElement[bool]]:
        n, kinds = news.c, self.settings.kinds
        where = [n.number > mine.position, n.time >= mine.begun, n.quiet.is_(False), calls.c.done.is_(None)]
        return [*where, n.kind.in_(sorted(kinds))] if kinds else where

    def _hook(self, c: Connection) -> Row[Any]:
        return c.execute(sa.select(hooks).filter_by(address=self.settings.address).with_for_update()).one()

    def _key(self) -> bytes:
        text = self.settings.secret.read("The secret of the webhook")["value"]
        try:
            key = (
                base64.b64decode(text.removeprefix("whsec_"), validate=True)
                if text.startswith("whsec_")
                else text.encode()
            )
        except binascii.Error:
            raise GeodesError("The secret of the webhook is not right: after whsec_ comes base64.") from None
        if len(key) < 16:
            raise GeodesError("The secret of the webhook is too short: use 16 characters or more.")
        return key


def _body(one: Row[Any]) -> bytes:
    evidence = json.loads(one.evidence)
    told = {"type": f"acquisition.{one.kind.replace(' ', '-')}", "timestamp": moment(one.time)}
    data = {"number": one.number, "kind": one.kind, "subject": one.subject, "text": one.text}
    body = json.dumps({**told, "data": {**data, "evidence": evidence}}, ensure_ascii=False).encode()
    if len(body) > _LARGEST:
        left = {"left out": "It is too long for a webhook: the feeds have it."}
        body = json.dumps({**told, "data": {**data, "text": one.text[:1000], "evidence": left}}).encode()
    return body
