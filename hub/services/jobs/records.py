"""The jobs of a person over HTTP, as OGC API – Processes says: how far they are, their results, their end."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from geodes_lab.batch.store.records import ENDED, Progress, Record
from geodes_lab.errors import GeodesError
from geodes_lab.util.database import DatabaseUnusable
from hub.services.jobs import again, callbacks, documents, listing
from hub.services.jobs.front import Front, Refused, following, refusal, this


class Records:
    """The jobs of people; each sees the own ones.

    Parameters
    ----------
    front
        Who asks, and for what.
    """

    def __init__(self, front: Front) -> None:
        self._front, self._store = front, front.desk.store

    def routes(self) -> APIRouter:
        """Return the routes below ``ogc``."""
        router = APIRouter(prefix=f"{self._front.hub.prefix}ogc")
        several: dict[str, Callable[..., Response]] = {
            "/jobs": self.jobs, "/jobs/{job}": self.job, "/jobs/{job}/results": self.results,
            "/jobs/{job}/items": self.items, "/jobs/{job}/log": self.log, "/jobs/{job}/request": self.request,
        }  # fmt: skip
        for path, answer in several.items():
            router.add_api_route(path, answer, methods=["GET"])
        router.add_api_route("/jobs/{job}", self.dismiss, methods=["DELETE"])
        router.add_api_route("/jobs/{job}/retry", self.retry, methods=["POST"])
        return router

    def jobs(self, request: Request) -> Response:
        """List the person's jobs."""
        person, at = self._front.person(request), self._front.at(request)
        query = request.query_params
        try:
            found = listing.listed(self._store, person.name, query, {n: query.getlist(n) for n in query})
        except GeodesError as error:
            raise refusal(error) from None
        limit, offset = self._front.page(request)
        shown = found[: min(limit, listing.MOST)]
        counts = self._store.several_progress([r.id for r in shown], person.name)
        links = [this(f"{at}/jobs"), *following(f"{at}/jobs", len(shown), offset, offset + len(found))]
        return JSONResponse(
            {"jobs": [documents.status(r, counts.get(r.id) or Progress(r.units), at) for r in shown], "links": links}
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
        document = documents.status(record, self._store.progress(record.id, record.person), self._front.at(request))
        self._store.remove(record.id, record.person)
        return JSONResponse(document | {"status": "dismissed", "message": "It was removed from the list.", "links": []})

    def retry(self, request: Request, job: str) -> Response:
        """Let the units of a job wait again that failed or were cancelled."""
        record = self._record(request, job, changes=True)
        return self._answered(request, callbacks.tried_again(self._store, record.id, record.person))

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
        return JSONResponse(documents.status(record, progress, self._front.at(request)))
