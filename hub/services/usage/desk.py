"""The answers of the usage accounts: a page for each person, one for operators, exports, limits, metrics."""

from __future__ import annotations

import contextlib
import csv
import hmac
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from geodes_lab.policy.account import account
from geodes_lab.policy.lab import Lab
from geodes_lab.policy.limits import verdict
from geodes_lab.policy.people import rights, standing
from hub.servers.group_mounts import mounts
from hub.services import pages
from hub.services.person import Hub, Person
from hub.services.usage.accounts import Books
from hub.services.usage.collector import Collector
from hub.services.usage.costs import Costs, described
from hub.services.usage.metrics import metrics
from hub.services.usage.records import Use, span, this_month
from hub.services.usage.report import HEADS, own, report, rows
from hub.services.usage.views import everybody, mine

_ASK = ("spawn", "home", "jobs", "dask-gateway")  # services that may ask about any person
_FORMULA = ("=", "+", "-", "@")
_FIELDS = ("kind", "name", *Use.__dataclass_fields__)


class Desk:
    """Answers.

    Parameters
    ----------
    lab, books, collector, hub
        The operator's file, the accounts, their collector, and the identity of people.
    """

    def __init__(self, lab: Lab, books: Books, collector: Collector, hub: Hub) -> None:
        self.lab, self.books, self.collector, self.hub = lab, books, collector, hub
        self.costs = Costs(books)

    async def who(self, request: Request) -> Person:
        """Return the sender."""
        return await run_in_threadpool(self.hub.person, request)

    def is_operator(self, person: Person) -> bool:
        """Whether a person may see everybody's usage."""
        return bool(person.name) and rights(person.groups, self.lab).admin

    async def page(self, request: Request) -> Response:
        """Return the page of a person, or of operators."""
        person = await self.who(request)
        if not person.name:
            return self.hub.to_login(request)
        month = self._month(request)
        if request.url.path.endswith("/all"):
            if not self.is_operator(person):
                return pages.page(request, self.lab, "403", f"<p>{self._only(request)}</p>", person.name, 403)
            by_person = {**self.books.by_person(month)}
            title, body = everybody(
                pages.language(request, self.lab),
                month,
                by_person,
                self.books.by_group(month),
                self.books.by_collection(month),
            )
            return pages.page(request, self.lab, title, body, person.name, operator=True)
        use = self.books.of(person.name, month)
        decision = verdict(asdict(use), person.groups, self.lab)
        tongue, is_operator = pages.language(request, self.lab), self.is_operator(person)
        title, body = mine(
            tongue, month, use, rights(person.groups, self.lab).quota, decision,
            self.books.by_collection(month, person.name), is_operator,
        )  # fmt: skip
        bill = await run_in_threadpool(self.costs.bill, month)
        body = f"{own(tongue, bill, person.name)}{body}" if bill.currency else body
        return pages.page(request, self.lab, title, body, person.name, operator=is_operator)

    async def report(self, request: Request) -> Response:
        """Return what a month costs, for operators: a page, or the same as CSV."""
        person = await self.who(request)
        as_csv = request.url.path.endswith(".csv")
        if not person.name and not as_csv:
            return self.hub.to_login(request)
        if not self.is_operator(person):
            if as_csv:
                return _no()
            return pages.page(request, self.lab, "403", f"<p>{self._only(request)}</p>", person.name, 403)
        month = self._month(request)
        bill = await run_in_threadpool(self.costs.bill, month)
        if as_csv:
            return _csv(f"costs-{month}", HEADS, rows(bill))
        title, body = report(pages.language(request, self.lab), bill)
        return pages.page(request, self.lab, title, body, person.name, operator=True)

    async def budgets(self, request: Request) -> Response:
        """Return the budgets of which much is spent: to the operators' page all, to a person the person's own."""
        asker, month = await self.who(request), this_month(datetime.now(UTC))
        if request.url.path.endswith("/mine"):
            if not asker.name:
                return _no()
            return JSONResponse({"budgets": await run_in_threadpool(self.costs.of, asker.name, asker.groups, month)})
        if asker.service != "operators":
            return _no()
        bill = await run_in_threadpool(self.costs.bill, month)
        return JSONResponse({"budgets": [described(s, bill) for s in bill.near()]})

    async def mine(self, request: Request) -> Response:
        """Return a person's usage as JSON."""
        person = await self.who(request)
        if not person.name:
            return _no()
        month = self._month(request)
        use = self.books.of(person.name, month)
        return JSONResponse(
            {"month": month, **asdict(use), "collections": self.books.by_collection(month, person.name)}
        )

    async def limits(self, request: Request) -> Response:
        """Return whether a person may start another server or cluster.

        The hub asks before a server starts, a gateway before a cluster, and a person about themselves.
        """
        asker, person = await self.who(request), request.path_params.get("person", "")
        person = person or asker.name
        if not person or (asker.name != person and asker.service not in _ASK):
            return _no()
        # The hub's own services know the present groups; the collector has those of its last check.
        known = request.query_params.getlist("group") if asker.service else asker.groups
        groups = standing(person, known or self.collector.groups.get(person, ()), self.lab)
        use = self.books.of(person, this_month(datetime.now(UTC)))
        decision = verdict(asdict(use), groups, self.lab)
        budgets = await run_in_threadpool(self.costs.of, person, groups, this_month(datetime.now(UTC)))
        dask = asdict(rights(groups, self.lab).dask)
        answer = {**asdict(decision), "used": asdict(use), "dask": dask, "budgets": budgets}
        if self.lab.servers.kind == "kubernetes":  # for the workers of a gateway
            answer["mounts"] = mounts(person, groups, self.lab)
        return JSONResponse(answer)

    async def used(self, request: Request) -> Response:
        """Return everybody's usage of this month.

        The hub compares it with the quotas of people who start a server.
        """
        if (await self.who(request)).service not in _ASK:
            return _no()
        people = await run_in_threadpool(self.books.by_person, this_month(datetime.now(UTC)))
        return JSONResponse({p: asdict(u) for p, u in people.items() if p})

    async def reads(self, request: Request) -> Response:
        """Accept the gate's counts; return who has used up the month's quota of bytes."""
        if (await self.who(request)).service != "data":
            return _no()
        now = datetime.now(UTC)
        try:
            rows = [(str(r["person"]), str(r["collection"]), int(r["bytes"])) for r in await request.json()]
        except (ValueError, KeyError, TypeError):
            return Response("The request needs rows of person, collection and bytes.", 400)
        await run_in_threadpool(self.books.add_reads, rows, self.collector.groups, now)
        refused = {}
        for person, use in (await run_in_threadpool(self.books.by_person, this_month(now))).items():
            decision = verdict({"read": use.read}, self.collector.groups.get(person, ()), self.lab)
            if person and not decision.allowed:
                refused[person] = decision.reason
        return JSONResponse({"refused": refused})

    async def storage(self, request: Request) -> Response:
        """Accept the sizes of homes.

        From the service that measures them, or on Kubernetes, where it cannot, from each person's own server.
        """
        asker = await self.who(request)
        by_servers = self.lab.servers.kind == "kubernetes"
        if not (asker.service == "measure" or (by_servers and asker.name and not asker.by_cookie)):
            return _no()
        if asker.service and self.collector.looked is None:
            return Response("The users are not known yet: send the request again.", 503)
        try:
            report = await request.json()
            sizes = self._people(report["homes"]) if asker.service else {asker.name: _bytes(report["bytes"])}
        except (ValueError, KeyError, TypeError, AttributeError):
            return Response("The request needs a number of bytes.", 400)
        await run_in_threadpool(self.books.set_storage, sizes, datetime.now(UTC))
        return Response(status_code=204)

    def _people(self, homes: dict[str, int]) -> dict[str, int]:
        """Return the sizes by person; the account with the empty name is everybody's."""
        prefix = self.lab.servers.account_prefix
        sizes = {p: homes.get(account(p, prefix), homes.get("")) for p in self.collector.groups}
        return {p: _bytes(size) for p, size in sizes.items() if size is not None}

    async def export(self, request: Request) -> Response:
        """Return all sums of a month, as CSV or JSON."""
        if not self.is_operator(await self.who(request)):
            return _no()
        month = self._month(request)
        sums = [("person", p, u) for p, u in self.books.by_person(month).items()]
        sums += [("group", g, u) for g, u in self.books.by_group(month).items()]
        sums += [("collection", c, Use(read=n)) for c, n in self.books.by_collection(month).items()]
        if request.path_params["form"] == "json":
            return JSONResponse({"month": month, "rows": [{"kind": k, "name": n, **asdict(u)} for k, n, u in sums]})
        return _csv(f"usage-{month}", _FIELDS, [[kind, name, *asdict(use).values()] for kind, name, use in sums])

    async def metrics(self, request: Request) -> Response:
        """Return the metrics for Prometheus, with its token, or for an operator."""
        file = self.lab.usage.metrics_token_file
        token = request.headers.get("authorization", "").partition(" ")[2].strip()
        known = Path(file).read_text().strip() if file else ""
        if not (known and hmac.compare_digest(token.encode(), known.encode())) and not self.is_operator(
            await self.who(request)
        ):
            return _no()
        text = await run_in_threadpool(metrics, self.books, self.collector, self.costs)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    def _month(self, request: Request) -> str:
        month = request.query_params.get("month", "")
        with contextlib.suppress(ValueError):
            return this_month(span(month)[0])
        return this_month(datetime.now(UTC))

    def _only(self, request: Request) -> str:
        return "Réservé aux opérateurs." if pages.language(request, self.lab) == "fr" else "For operators only."


def _csv(name: str, heads: Sequence[str], rows: list[list[Any]]) -> Response:
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(heads)
    # A spreadsheet would execute cells that begin like a formula.
    writer.writerows([[f"'{c}" if isinstance(c, str) and c[:1] in _FORMULA else c for c in row] for row in rows])
    head = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    return Response(file.getvalue(), media_type="text/csv; charset=utf-8", headers=head)


def _bytes(size: int) -> int:
    return min(max(int(size), 0), 2**60)


def _no() -> Response:
    return Response(json.dumps({"detail": "You have no access to this page."}), 403, media_type="application/json")
