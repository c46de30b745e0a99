"""Schedules over HTTP: what begins jobs by itself. The standard has none; the requests are made as its others are."""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from starlette.concurrency import run_in_threadpool

from geodes_lab.batch.store.records import Progress
from geodes_lab.batch.store.schedules import Entry, Schedules
from geodes_lab.errors import GeodesError
from geodes_lab.util.database import DatabaseUnusable
from hub.services.jobs import documents, execution
from hub.services.jobs.front import Front, Refused, no_number, refusal, this
from hub.services.jobs.searching import Catalogue
from hub.services.person import Person

_WORDS = {"each", "start", "wait", "every"}
_NEVER = "1900-01-01T00:00:00Z"
"""A time without products: what a catalogue refuses of a search it refuses for this one too."""


class Timetable:
    """The schedules of people.

    Parameters
    ----------
    front
        Who asks, and for what.
    schedules
        Those of all people.
    catalogue
        Of the lab; a search is tried there before it is kept.
    """

    def __init__(self, front: Front, schedules: Schedules, catalogue: Catalogue) -> None:
        self._front, self._schedules, self._catalogue = front, schedules, catalogue

    def routes(self) -> APIRouter:
        """Return the routes, below the service's prefix."""
        router = APIRouter(prefix=f"{self._front.hub.prefix}ogc")
        router.add_api_route("/processes/{process}/schedules", self.add, methods=["POST"], status_code=201)
        router.add_api_route("/schedules", self.all, methods=["GET"])
        router.add_api_route("/schedules/{schedule}", self.one, methods=["GET"])
        router.add_api_route("/schedules/{schedule}", self.remove, methods=["DELETE"])
        router.add_api_route("/schedules/{schedule}/jobs", self.jobs, methods=["GET"])
        return router

    async def add(self, request: Request, process: str) -> Response:
        """Keep a schedule; the person's own runner looks from now on."""
        person = await run_in_threadpool(self._front.person, request, True)
        try:
            body = json.loads(await request.body(), parse_constant=no_number)
        except (ValueError, RecursionError):
            raise Refused("InvalidParameterValue", 400, "The request must be JSON, with finite numbers.") from None
        return await run_in_threadpool(self._added, request, person, process, body)

    def _added(self, request: Request, person: Person, process: str, body: Any) -> Response:
        from geodes_lab.batch.calendar import PRODUCT, plan

        known, token = self._front.known(person, process), self._front.hub.token(request)
        try:
            self._front.desk.check(person, known.id)
            words = _words(body)
            search, inputs, job = execution.repeated(known, body)
            made = plan(known.id, {"stac": search}, inputs, job, **{"each": PRODUCT, **words})
            begin = made.check()
            self._try(token, search)
            number = self._schedules.add(person.name, made.text(), begin)
        except GeodesError as error:
            raise refusal(error) from None
        at = self._front.at(request)
        document = _document(self._schedules.one(number, person.name), at)
        return JSONResponse(document, 201, {"Location": f"{at}/schedules/{number}"})

    def _try(self, token: str, search: dict[str, Any]) -> None:
        """Refuse what a catalogue would refuse each time."""
        wanted = search.get("collections")
        if not isinstance(wanted, list) or not wanted:
            raise GeodesError("The search of a schedule names its collections, in a list.")
        there = {c["id"] for c in self._catalogue.collections(token)}
        if unknown := [str(name) for name in wanted if name not in there]:
            raise GeodesError(f"The catalogue has no collection {unknown[0][:80]!r} that you can see.")
        self._catalogue.found(token, {**search, "datetime": _NEVER})

    def all(self, request: Request) -> Response:
        """List the person's schedules."""
        person, at = self._front.person(request), self._front.at(request)
        several = [_document(entry, at) for entry in self._schedules.all(person.name)]
        return JSONResponse({"schedules": several, "links": [this(f"{at}/schedules")]})

    def one(self, request: Request, schedule: str) -> Response:
        """Return a schedule."""
        return JSONResponse(_document(self._entry(request, schedule), self._front.at(request)))

    def remove(self, request: Request, schedule: str) -> Response:
        """Forget a schedule; the jobs that it has begun stay."""
        entry = self._entry(request, schedule, changes=True)
        self._schedules.remove(entry.id, entry.person)
        return JSONResponse(_document(entry, self._front.at(request)) | {"status": "removed", "links": []})

    def jobs(self, request: Request, schedule: str) -> Response:
        """Return the jobs that a schedule has begun, the newest first."""
        entry, at = self._entry(request, schedule), self._front.at(request)
        records = self._schedules.jobs(entry.id, entry.person)
        counts = self._schedules.store.several_progress([r.id for r in records], entry.person)
        several = [documents.status(r, counts.get(r.id) or Progress(r.units), at) for r in records]
        return JSONResponse({"jobs": several, "links": [this(f"{at}/schedules/{entry.id}/jobs")]})

    def _entry(self, request: Request, schedule: str, changes: bool = False) -> Entry:
        person = self._front.person(request, changes)
        try:
            return self._schedules.one(schedule, person.name)
        except DatabaseUnusable:
            raise
        except GeodesError:
            sentence = f"You have no schedule {schedule[:80]!r}: see schedules."
            raise Refused("no-such-schedule", 404, sentence) from None


def _words(body: Any) -> dict[str, str]:
    """Take what says when out of a request."""
    words = body.pop("schedule", None) if isinstance(body, dict) else None
    if not isinstance(words, dict) or set(words) - _WORDS or not all(isinstance(w, str) for w in words.values()):
        raise GeodesError(f"schedule must be an object with some of {', '.join(sorted(_WORDS))}, each a text.")
    return words


def _document(entry: Entry, at: str) -> dict[str, Any]:
    from geodes_lab.batch.calendar import Plan, next_run

    plan = Plan.of(entry.document)
    document: dict[str, Any] = {
        "scheduleID": entry.id,
        "processID": plan.process,
        "title": plan.job.get("title") or "",
        "each": plan.each,
        "wait": plan.wait,
        "every": plan.every,
        "status": entry.state,
        "message": entry.reason,
        "created": documents.instant(entry.created),
        "jobs": entry.jobs,
        "lastRun": None if entry.begun is None else documents.instant(entry.begun),
    }
    following = next_run(entry)
    document["nextRun"] = None if following is None else documents.instant(following)
    document["inputs"] = {**plan.inputs, **plan.job, "search": plan.search.get("stac", plan.search)}
    document["links"] = [
        this(f"{at}/schedules/{entry.id}"),
        {"href": f"{at}/schedules/{entry.id}/jobs", "rel": "related", "type": "application/json"},
    ]
    return document
