"""The addresses of the accounts: a page for each person, one for operators, exports, limits, metrics."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import hmac
import io
import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from geodes_lab.policy.account import account
from geodes_lab.policy.lab import Lab
from geodes_lab.policy.limits import verdict
from geodes_lab.policy.people import rights, standing
from hub.services import pages
from hub.services.bounds import MIB, Bounded
from hub.services.person import Hub, Person
from hub.services.usage.accounts import Books, Use, span, this_month
from hub.services.usage.collector import Collector
from hub.services.usage.metrics import metrics
from hub.services.usage.views import everybody, mine

_ASK = ("spawn", "home", "dask-gateway")  # services that may ask about anybody
_FIELDS = ("kind", "name", *Use.__dataclass_fields__)


class Desk:
    """Answers.

    Parameters
    ----------
    lab, books, collector, hub
        The operator's file, what is known, what fills it, and who asks.
    """

    def __init__(self, lab: Lab, books: Books, collector: Collector, hub: Hub) -> None:
        self.lab, self.books, self.collector, self.hub = lab, books, collector, hub

    async def who(self, request: Request) -> Person:
        """Who asks."""
        return await run_in_threadpool(self.hub.person, request)

    def is_operator(self, person: Person) -> bool:
        """Whether somebody may see what all use."""
        return bool(person.name) and rights(person.groups, self.lab).admin

    async def page(self, request: Request) -> Response:
        """The page of a person, or of operators."""
        person = await self.who(request)
        if not person.name:
            return RedirectResponse(f"{self.hub.prefix}login")
        month = self._month(request)
        if request.url.path.endswith("/all"):
            if not self.is_operator(person):
                return pages.page(request, self.lab, "403", f"<p>{self._only(request)}</p>", person.name, 403)
            found = {**self.books.by_person(month)}
            body = everybody(
                pages.language(request, self.lab),
                month,
                found,
                self.books.by_group(month),
                self.books.by_collection(month),
            )
            return pages.page(request, self.lab, body[0], body[1], person.name)
        use = self.books.of(person.name, month)
        told = verdict(asdict(use), person.groups, self.lab)
        body = mine(
            pages.language(request, self.lab), month, use, rights(person.groups, self.lab).quota, told,
            self.books.by_collection(month, person.name), self.is_operator(person),
        )  # fmt: skip
        return pages.page(request, self.lab, body[0], body[1], person.name)

    async def mine(self, request: Request) -> Response:
        """What a person used, as JSON."""
        person = await self.who(request)
        if not person.name:
            return _no()
        month = self._month(request)
        use = self.books.of(person.name, month)
        return JSONResponse(
            {"month": month, **asdict(use), "collections": self.books.by_collection(month, person.name)}
        )

    async def limits(self, request: Request) -> Response:
        """Whether a person may start something more.

        Asked by the hub before a server, by a gateway before a cluster, by oneself.
        """
        asker, person = await self.who(request), request.path_params.get("person", "")
        person = person or asker.name
        if not person or (asker.name != person and asker.service not in _ASK):
            return _no()
        # The hub's own services know the groups as of this moment; what the collector saw is of its last look.
        known = request.query_params.getlist("group") if asker.service else asker.groups
        groups = standing(person, known or self.collector.groups.get(person, ()), self.lab)
        use = self.books.of(person, this_month(datetime.now(UTC)))
        told = verdict(asdict(use), groups, self.lab)
        return JSONResponse({**asdict(told), "used": asdict(use), "dask": asdict(rights(groups, self.lab).dask)})

    async def used(self, request: Request) -> Response:
        """What everybody has used this month.

        Asked by the hub, which holds it against the quotas of those who start something.
        """
        if (await self.who(request)).service not in _ASK:
            return _no()
        people = await run_in_threadpool(self.books.by_person, this_month(datetime.now(UTC)))
        return JSONResponse({p: asdict(u) for p, u in people.items() if p})

    async def reads(self, request: Request) -> Response:
        """Take what the gate counted; tell it who has read all that the month allows."""
        if (await self.who(request)).service != "data":
            return _no()
        now = datetime.now(UTC)
        try:
            rows = [(str(r["person"]), str(r["collection"]), int(r["bytes"])) for r in await request.json()]
        except (ValueError, KeyError, TypeError):
            return Response("Rows of person, collection and bytes are wanted.", 400)
        await run_in_threadpool(self.books.add_reads, rows, self.collector.groups, now)
        refused = {}
        for person, use in (await run_in_threadpool(self.books.by_person, this_month(now))).items():
            told = verdict({"read": use.read}, self.collector.groups.get(person, ()), self.lab)
            if person and not told.allowed:
                refused[person] = told.reason
        return JSONResponse({"refused": refused})

    async def storage(self, request: Request) -> Response:
        """Take how large homes are.

        Of the service that measures them, or on Kubernetes, where none can, of each person's own server.
        """
        asker = await self.who(request)
        by_servers = self.lab.servers.kind == "kubernetes"
        if not (asker.service == "measure" or (by_servers and asker.name and not asker.by_cookie)):
            return _no()
        if asker.service and self.collector.looked is None:
            return Response("It is not known yet who there is: tell it again.", 503)
        try:
            told = await request.json()
            sizes = self._people(told["homes"]) if asker.service else {asker.name: _bytes(told["bytes"])}
        except (ValueError, KeyError, TypeError, AttributeError):
            return Response("Bytes are wanted.", 400)
        await run_in_threadpool(self.books.set_storage, sizes, datetime.now(UTC))
        return Response(status_code=204)

    def _people(self, homes: dict[str, int]) -> dict[str, int]:
        """The sizes of accounts, by the people whose they are; the empty account is everybody's."""
        prefix = self.lab.servers.account_prefix
        found = {p: homes.get(account(p, prefix), homes.get("")) for p in self.collector.groups}
        return {p: _bytes(size) for p, size in found.items() if size is not None}

    async def export(self, request: Request) -> Response:
        """All sums of a month, as CSV or JSON."""
        if not self.is_operator(await self.who(request)):
            return _no()
        month = self._month(request)
        rows = [("person", p, u) for p, u in self.books.by_person(month).items()]
        rows += [("group", g, u) for g, u in self.books.by_group(month).items()]
        rows += [("collection", c, Use(read=n)) for c, n in self.books.by_collection(month).items()]
        if request.path_params["form"] == "json":
            return JSONResponse({"month": month, "rows": [{"kind": k, "name": n, **asdict(u)} for k, n, u in rows]})
        file = io.StringIO()
        writer = csv.writer(file)
        writer.writerow(_FIELDS)
        for kind, name, use in rows:
            # A spreadsheet would run what begins like a formula.
            safe = f"'{name}" if name[:1] in "=+-@" and name else name
            writer.writerow([kind, safe, *asdict(use).values()])
        head = {"Content-Disposition": f'attachment; filename="usage-{month}.csv"'}
        return Response(file.getvalue(), media_type="text/csv; charset=utf-8", headers=head)

    async def metrics(self, request: Request) -> Response:
        """What Prometheus reads, by its token, or an operator."""
        file = self.lab.usage.metrics_token_file
        given = request.headers.get("authorization", "").partition(" ")[2].strip()
        known = Path(file).read_text().strip() if file else ""
        if not (known and hmac.compare_digest(given.encode(), known.encode())) and not self.is_operator(
            await self.who(request)
        ):
            return _no()
        text = await run_in_threadpool(metrics, self.books, self.collector)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    def _month(self, request: Request) -> str:
        asked = request.query_params.get("month", "")
        with contextlib.suppress(ValueError):
            return this_month(span(asked)[0])
        return this_month(datetime.now(UTC))

    def _only(self, request: Request) -> str:
        return "Réservé aux opérateurs." if pages.language(request, self.lab) == "fr" else "For operators alone."


def made(lab: Lab, books: Books, collector: Collector, hub: Hub) -> Starlette:
    """Make the application."""
    desk, at = Desk(lab, books, collector, hub), hub.prefix

    async def begin(request: Request) -> Response:
        return hub.begin(request)

    async def end(request: Request) -> Response:
        return await run_in_threadpool(
            hub.end, request, request.query_params.get("code", ""), request.query_params.get("state", "")
        )

    @contextlib.asynccontextmanager
    async def life(_: Starlette) -> AsyncIterator[None]:
        looking = asyncio.create_task(collector.keep_looking())
        yield
        looking.cancel()

    routes = [
        Route(at, desk.page),
        Route(f"{at}all", desk.page),
        Route(f"{at}look.css", pages.look),
        Route(f"{at}login", begin),
        Route(f"{at}oauth_callback", end),
        Route(f"{at}api/mine", desk.mine),
        Route(f"{at}api/limits", desk.limits),
        Route(f"{at}api/limits/{{person}}", desk.limits),
        Route(f"{at}api/used", desk.used),
        Route(f"{at}api/reads", desk.reads, methods=["POST"]),
        Route(f"{at}api/storage", desk.storage, methods=["POST"]),
        Route(f"{at}export.{{form:str}}", desk.export),
        Route(f"{at}metrics", desk.metrics),
    ]
    # The gate's rows are the largest that come, of each person and collection one, and the homes of all.
    larger = {"service data": 16 * MIB, "service measure": 4 * MIB}
    bounds = [Middleware(Bounded, body=64 * 2**10, asking=hub.asking, larger=larger)]
    return Starlette(routes=routes, lifespan=life, middleware=bounds)


def _bytes(told: int) -> int:
    return min(max(int(told), 0), 2**60)


def _no() -> Response:
    return Response(json.dumps({"detail": "This is not for you."}), 403, media_type="application/json")
