"""The processes over HTTP, as OGC API – Processes says: what there is, and how a job is checked, planned and begun."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from starlette.concurrency import run_in_threadpool

from geodes_lab.errors import GeodesError
from geodes_lab.processing import registry
from geodes_lab.util.database import DatabaseUnusable
from hub.services.jobs import callbacks, documents, execution
from hub.services.jobs.front import Front, Refused, following, no_number, refusal, this
from hub.services.jobs.planning import Planning
from hub.services.jobs.searching import Catalogue
from hub.services.pages import Language
from hub.services.person import Person


class Processes:
    """OGC API – Processes 1.0, without the list of jobs.

    Parameters
    ----------
    front
        Who asks, and for what.
    catalogue
        Of the lab, for searches.
    title
        Of the service.
    planning
        Plans jobs before they begin.
    """

    def __init__(self, front: Front, catalogue: Catalogue, title: str, planning: Planning) -> None:
        self._front, self._catalogue, self._title, self._planning = front, catalogue, title, planning
        self._lab, self._desk, self._hub, self._store = front.lab, front.desk, front.hub, front.desk.store

    def routes(self) -> APIRouter:
        """Return the routes below ``ogc``."""
        router = APIRouter(prefix=f"{self._hub.prefix}ogc")
        several: dict[str, Callable[..., Response]] = {
            "": self.landing, "/": self.landing, "/conformance": self.conformance, "/processes": self.processes,
            "/processes/{process}": self.process, "/plans/{plan}": self.plan,
        }  # fmt: skip
        for path, answer in several.items():
            router.add_api_route(path, answer, methods=["GET"])
        # The body is read here before the rest works in a thread, which must not block others.
        router.add_api_route("/processes/{process}/execution", self.execute, methods=["POST"], status_code=201)
        router.add_api_route("/processes/{process}/check", self.check, methods=["POST"])
        router.add_api_route("/processes/{process}/plan", self.plan_of, methods=["POST"], status_code=201)
        return router

    def landing(self, request: Request) -> Response:
        """Return the first document."""
        return JSONResponse(documents.landing(self._front.at(request), self._title))

    def conformance(self) -> Response:
        """Return the classes of the standard that are true here."""
        return JSONResponse({"conformsTo": documents.CONFORMANCE})

    def processes(self, request: Request) -> Response:
        """List the processes that the person's groups can use."""
        person, at = self._front.person(request), self._front.at(request)
        limit, offset = self._front.page(request)
        several = [p for name, p in sorted(registry.installed().items()) if self._desk.allowed(person, name)]
        links = [this(f"{at}/processes"), *following(f"{at}/processes", limit, offset, len(several))]
        tongue = _tongue(request)
        some = [documents.summary(p, at, tongue) for p in several[offset : offset + limit]]
        return JSONResponse({"processes": some, "links": links}, headers={"Content-Language": tongue})

    def process(self, request: Request, process: str) -> Response:
        """Describe a process; ``?lang=fr`` does so in French, where the lab has it."""
        known, tongue = self._front.known(self._front.person(request), process), _tongue(request)
        described = documents.description(known, self._front.at(request), tongue)
        return JSONResponse(described, headers={"Content-Language": tongue})

    async def execute(self, request: Request, process: str) -> Response:
        """Begin a job; it is in the store before this is answered."""
        return await self._with_body(request, process, self._executed)

    async def check(self, request: Request, process: str) -> Response:
        """Check and split a job without beginning it: its units and products."""
        return await self._with_body(request, process, self._checked)

    async def plan_of(self, request: Request, process: str) -> Response:
        """Check a job without beginning it, and have it planned: bytes, core-hours, cost, quota."""
        return await self._with_body(request, process, self._planned)

    async def _with_body(self, request: Request, process: str, answer: Callable[..., Response]) -> Response:
        person = await run_in_threadpool(self._front.person, request, True)
        try:
            body = json.loads(await request.body(), parse_constant=no_number)
        except (ValueError, RecursionError):
            raise Refused("InvalidParameterValue", 400, "The request must be JSON, with finite numbers.") from None
        return await run_in_threadpool(answer, request, person, process, body)

    def _planned(self, request: Request, person: Person, process: str, body: Any) -> Response:
        known = self._front.known(person, process)
        draft = self._asked(request, person, process, body).draft
        try:
            self._desk.check(person, known.id)
            number = self._planning.wanted(draft, person)
        except GeodesError as error:
            raise refusal(error) from None
        return JSONResponse({"planID": number}, 201, {"Location": f"{self._front.at(request)}/plans/{number}"})

    def plan(self, request: Request, plan: str) -> Response:
        """Return a plan, or how far it is."""
        person = self._front.person(request)
        try:
            return JSONResponse(self._planning.one(plan, person))
        except DatabaseUnusable:
            raise
        except GeodesError:
            raise Refused("no-such-plan", 404, f"You have no plan {plan[:80]!r}: ask for it again.") from None

    def _checked(self, request: Request, person: Person, process: str, body: Any) -> Response:
        draft = self._asked(request, person, process, body).draft
        products = {n for unit, _ in draft.units for n in unit.items}
        names = [unit.name for unit, _ in draft.units[:20]]
        return JSONResponse({"units": len(draft.units), "products": len(products), "first": names})

    def _executed(self, request: Request, person: Person, process: str, body: Any) -> Response:
        known, at = self._front.known(person, process), self._front.at(request)
        try:
            self._desk.check(person, known.id)
            subscriber = body.get("subscriber") if isinstance(body, dict) else None
            if subscriber is not None:
                subscriber = callbacks.checked(subscriber, self._lab.jobs.callbacks)
        except GeodesError as error:
            raise refusal(error) from None
        asked = self._asked(request, person, process, body)
        noted = {"raw": asked.raw, "by_value": asked.by_value, "at": at}
        noted |= {"search": asked.search} if asked.search else {}
        noted |= {"subscriber": subscriber, "told": False} if subscriber else {"told": True}
        job = asked.draft.start(store=self._store, person=person.name, subscriber=json.dumps(noted))
        headers = {"Location": f"{at}/jobs/{job.id}"}
        if "respond-async" in request.headers.get("prefer", ""):
            headers["Preference-Applied"] = "respond-async"
        return JSONResponse(documents.status(job.record, job.progress, at), 201, headers)

    def _asked(self, request: Request, person: Person, process: str, body: Any) -> execution.Asked:
        token = self._hub.token(request)
        try:
            return execution.read(self._front.known(person, process), body, lambda s: self._catalogue.found(token, s))
        except GeodesError as error:
            raise refusal(error) from None


def _tongue(request: Request) -> Language:
    """Return the language of descriptions: English for programs, and what the page asks for."""
    return "fr" if request.query_params.get("lang") == "fr" else "en"
