"""The application: OGC API – Processes for programs, and the calls of runners and kernels."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from geodes_lab.batch.store.leases import LeaseLost
from geodes_lab.batch.store.schedules import Schedules
from geodes_lab.batch.store.writing import ENDED, Progress, Record, Store
from geodes_lab.errors import GeodesError
from geodes_lab.policy.lab import Lab
from geodes_lab.processing import registry
from geodes_lab.util.database import DatabaseUnusable
from hub.services.bounds import Bounded
from hub.services.jobs import again, callbacks, documents, execution, listing, views
from hub.services.jobs.calls.desk import Desk, NotAllowed
from hub.services.jobs.front import LOGIN, Front, Refused, following, no_number, refusal, this
from hub.services.jobs.planning import Planning
from hub.services.jobs.searching import Catalogue
from hub.services.jobs.timetable import Timetable
from hub.services.pages import Language
from hub.services.person import Hub, Person

_BODY = 32 * 2**20  # bytes: twenty thousand Items
_POLICY = "default-src 'none'; sandbox; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
_HEADERS = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": _POLICY, "Referrer-Policy": "no-referrer"}


def made(
    lab: Lab, store: Store, hub: Hub, catalogue: str = "", *, usage: str = "", assets: Path | None = None
) -> ASGIApp:
    """Create the application, behind its limits.

    Parameters
    ----------
    lab
        The operator's file.
    store
        The jobs of all people.
    hub
        Identifies people.
    catalogue
        The address of the lab's catalogue, for searches; empty: there is none.
    usage
        The address of the accounts of use, which a plan is compared with; empty: there are none.
    assets
        The folder ``node_modules`` with the map's library, for the page.
    """
    title = f"Processes of {lab.name}"
    app = FastAPI(title=title, version="1", openapi_url=f"{hub.prefix}ogc/api", docs_url=None, redoc_url=None)
    desk, products = Desk(lab, store), Catalogue(catalogue)
    front = Front(lab, hub, desk)
    app.include_router(_Processes(front, products, title, Planning(lab, store, usage)).routes())
    app.include_router(Timetable(front, Schedules(store), products).routes())
    app.include_router(views.routes(lab, hub, products, assets))
    app.include_router(_calls(desk, hub))

    @app.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> Response:
        return JSONResponse(documents.exception(error.kind, error.status, str(error)), error.status, _HEADERS)

    @app.exception_handler(HTTPException)
    async def not_there(_: Request, error: HTTPException) -> Response:
        return JSONResponse(documents.exception("not-found", error.status_code, str(error.detail)), error.status_code)

    @app.exception_handler(DatabaseUnusable)
    async def unusable(_: Request, error: DatabaseUnusable) -> Response:
        return JSONResponse(documents.exception("unavailable", 503, str(error)), 503, {"Retry-After": "5"})

    @app.middleware("http")
    async def said(request: Request, call: Any) -> Any:
        answer = await call(request)
        for name, value in _HEADERS.items():
            answer.headers.setdefault(name, value)
        answer.headers.setdefault("Cache-Control", "no-store")
        return answer

    return Bounded(app, body=_BODY, depth=64, seconds=60, at_once=128, asking=hub.asking)


class _Processes:
    """OGC API – Processes 1.0."""

    def __init__(self, front: Front, catalogue: Catalogue, title: str, planning: Planning) -> None:
        self._front, self._catalogue, self._title, self._planning = front, catalogue, title, planning
        self._lab, self._desk, self._hub, self._store = front.lab, front.desk, front.hub, front.desk.store

    def routes(self) -> APIRouter:
        router = APIRouter(prefix=f"{self._hub.prefix}ogc")
        several: dict[str, Callable[..., Response]] = {
            "": self.landing, "/": self.landing, "/conformance": self.conformance, "/processes": self.processes,
            "/processes/{process}": self.process, "/jobs": self.jobs, "/jobs/{job}": self.job,
            "/jobs/{job}/results": self.results, "/jobs/{job}/items": self.items, "/jobs/{job}/log": self.log,
            "/jobs/{job}/request": self.request, "/plans/{plan}": self.plan,
        }  # fmt: skip
        for path, answer in several.items():
            router.add_api_route(path, answer, methods=["GET"])
        # The body is read here before the rest works in a thread, which must not block others.
        router.add_api_route("/processes/{process}/execution", self.execute, methods=["POST"], status_code=201)
        router.add_api_route("/processes/{process}/check", self.check, methods=["POST"])
        router.add_api_route("/processes/{process}/plan", self.plan_of, methods=["POST"], status_code=201)
        router.add_api_route("/jobs/{job}", self.dismiss, methods=["DELETE"])
        router.add_api_route("/jobs/{job}/retry", self.retry, methods=["POST"])
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
        limit, offset = self._page(request)
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
        return JSONResponse(self._status(job.record, job.progress, at), 201, headers)

    def _asked(self, request: Request, person: Person, process: str, body: Any) -> execution.Asked:
        token = self._hub.token(request)
        try:
            return execution.read(self._front.known(person, process), body, lambda s: self._catalogue.found(token, s))
        except GeodesError as error:
            raise refusal(error) from None

    def jobs(self, request: Request) -> Response:
        """List the person's jobs."""
        person, at = self._front.person(request), self._front.at(request)
        query = request.query_params
        try:
            found = listing.listed(self._store, person.name, query, {n: query.getlist(n) for n in query})
        except GeodesError as error:
            raise refusal(error) from None
        limit, offset = self._page(request)
        shown = found[: min(limit, listing.MOST)]
        counts = self._store.several_progress([r.id for r in shown], person.name)
        links = [this(f"{at}/jobs"), *following(f"{at}/jobs", len(shown), offset, offset + len(found))]
        return JSONResponse(
            {"jobs": [self._status(r, counts.get(r.id) or Progress(r.units), at) for r in shown], "links": links}
        )

    def job(self, request: Request, job: str) -> Response:
        """Return how far a job is."""
        return self._answered(request, self._record(request, job))

    def request(self, request: Request, job: str) -> Response:
        """Return what was asked of a job, as a request that can be sent again."""
        record = self._record(request, job)
        code, _ = self._store.code(record.id, record.person)
        try:
            document = again.request_of(record, self._store.request(record.id, record.person), code is not None)
        except GeodesError as error:
            raise Refused("not-repeatable", 409, str(error)) from None
        return JSONResponse(document)

    def results(self, request: Request, job: str) -> Response:
        """Return the results: the address of their Items, or as the request to begin the job asked for."""
        record, at = self._successful(request, job), self._front.at(request)
        noted = json.loads(record.subscriber or "{}")
        if noted.get("raw"):
            if noted.get("by_value"):
                return JSONResponse(self._items(record), media_type="application/geo+json")
            link = f'<{at}/jobs/{record.id}/items>; rel="items"; type="application/geo+json"'
            return Response(status_code=204, headers={"Link": link})
        if noted.get("by_value"):
            value = {"value": self._items(record), "mediaType": "application/geo+json"}
            return JSONResponse({"items": value})
        return JSONResponse(documents.results(record, at))

    def items(self, request: Request, job: str) -> Response:
        """Return the Items of the results."""
        return JSONResponse(self._items(self._successful(request, job)), media_type="application/geo+json")

    def log(self, request: Request, job: str) -> Response:
        """Return what happened to a job, and the units that failed."""
        record = self._record(request, job)
        entries = self._store.log(record.id, record.person, listing.whole(request.query_params, "after", 0, 0))
        failures = self._store.failures(record.id, record.person)
        return JSONResponse(
            {
                "log": [{"number": n, "time": documents.instant(at), "text": text} for n, at, text in entries[-1000:]],
                "failures": [{"unit": f.name, "reason": f.reason, "attempts": f.attempts} for f in failures],
            }
        )

    def dismiss(self, request: Request, job: str) -> Response:
        """Cancel a job; one that has ended is forgotten. Its files stay in the person's home."""
        record = self._record(request, job, changes=True)
        if record.state not in ENDED:
            return self._answered(request, self._store.dismiss(record.id, record.person))
        document = self._status(record, self._store.progress(record.id, record.person), self._front.at(request))
        self._store.remove(record.id, record.person)
        return JSONResponse(document | {"status": "dismissed", "message": "It was removed from the list.", "links": []})

    def retry(self, request: Request, job: str) -> Response:
        """Let the units of a job wait again that failed or were cancelled."""
        record = self._record(request, job, changes=True)
        return self._answered(request, self._store.retry(record.id, record.person))

    def _record(self, request: Request, job: str, changes: bool = False) -> Record:
        person = self._front.person(request, changes)
        try:
            return self._store.job(job, person.name)
        except DatabaseUnusable:
            raise
        except GeodesError:
            raise Refused("no-such-job", 404, f"You have no job {job[:80]!r}: see jobs.") from None

    def _successful(self, request: Request, job: str) -> Record:
        record = self._record(request, job)
        if record.state not in ENDED:
            raise Refused("result-not-ready", 404, "The job has not ended: its results come at its end.")
        if record.state == "dismissed":
            raise Refused("no-such-job", 404, "The job was cancelled: it has no results.")
        if record.state == "failed":
            raise Refused("job-failed", 500, record.message or "The job failed: see its log.")
        return record

    def _items(self, record: Record) -> dict[str, Any]:
        ends = [result.items for unit, result in self._store.results(record.id, record.person) if unit.is_end]
        return {"type": "FeatureCollection", "features": ends[0] if ends else []}

    def _answered(self, request: Request, record: Record) -> Response:
        progress = self._store.progress(record.id, record.person)
        return JSONResponse(self._status(record, progress, self._front.at(request)))

    def _status(self, record: Record, progress: Progress, at: str) -> dict[str, Any]:
        return documents.status(record, progress, at)

    def _page(self, request: Request) -> tuple[int, int]:
        try:
            query = request.query_params
            return listing.whole(query, "limit", 100, 1), listing.whole(query, "offset", 0, 0)
        except GeodesError as error:
            raise refusal(error) from None


def _calls(desk: Desk, hub: Hub) -> APIRouter:
    router = APIRouter(prefix=f"{hub.prefix}store", include_in_schema=False)

    @router.post("/{what}")
    async def call(request: Request, what: str) -> Response:
        """Answer a runner or a kernel, by the token of its person."""
        person = await run_in_threadpool(hub.person, request)
        if not person.name or person.by_cookie:
            return JSONResponse({"detail": LOGIN}, 401)
        try:
            answer = await run_in_threadpool(desk.answer, person, what, json.loads(await request.body()))
        except LeaseLost:
            return JSONResponse({"detail": "This unit is not, or no longer, this runner's."}, 409)
        except NotAllowed as error:
            return JSONResponse({"detail": str(error)}, 403)
        except DatabaseUnusable:
            raise
        except (GeodesError, ValueError, RecursionError) as error:
            sentence = str(error) if isinstance(error, GeodesError) else "The request must be JSON."
            return JSONResponse({"detail": sentence}, 400)
        return JSONResponse(answer)

    return router


def _tongue(request: Request) -> Language:
    """Return the language of descriptions: English for programs, and what the page asks for."""
    return "fr" if request.query_params.get("lang") == "fr" else "en"
